"""GLM of 2021 (Du et al., "GLM: General Language Model Pretraining with Autoregressive Blank Infilling").

transformers' own `glm` is a later, different model, so this one is registered there as model type `glm-2021`; importing
this package does that. A sequence is a context, seen by all in both directions, and perhaps a piece behind it that is
written from left to right at the place of the context's mask token:

    [CLS] text [MASK] text <|endoftext|> <|startofpiece|> answer ...

The code follows the published equations, with the tanh form of GELU that the model was trained with (its remote code on
the hub has the erf form).
"""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM

from ptv2.models.glm.config import Glm2021Config, published_config
from ptv2.models.glm.layout import block_positions
from ptv2.models.glm.model import Glm2021ForMaskedLM, Glm2021Model
from ptv2.models.glm.tokenizer import is_glm_tokenizer, load_glm_tokenizer
from ptv2.models.glm.weights import register_names

__all__ = ["Glm2021Config", "block_positions", "is_glm_tokenizer", "load_glm_tokenizer", "published_config"]

AutoConfig.register(Glm2021Config.model_type, Glm2021Config)
AutoModel.register(Glm2021Config, Glm2021Model)
AutoModelForMaskedLM.register(Glm2021Config, Glm2021ForMaskedLM)
register_names()
