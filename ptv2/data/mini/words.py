"""The vocabulary of the mini data sets: banks of filler words that train, dev and test never share.

A bank is one string. Its entries are dealt to the splits by their place (5 of 8 to train, 1 to dev, 2 to test), so a
word keeps its split as long as entries are only added at the end. An entry with slashes is a group that stays together:
a verb (`base/past`), or a kind with its members (`dog/poodle/...`).
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

SPLITS = ("train", "dev", "test")
_DEAL = ("train", "train", "test", "train", "dev", "train", "test", "train")

# fmt: off
BANKS: Mapping[str, str] = {
    "person": """
        baker pilot nurse farmer sailor doctor lawyer teacher singer painter driver gardener butcher barber
        plumber carpenter miner soldier clerk waiter tailor dancer drummer violinist banker broker dentist
        surgeon chemist biologist botanist astronomer librarian translator photographer reporter editor printer
        jeweler hunter shepherd ranger detective mayor senator ambassador professor student boxer swimmer runner
        cyclist skater climber goalkeeper referee jockey wrestler acrobat magician clown actor director producer
        composer pianist poet novelist critic architect engineer mechanic electrician welder roofer blacksmith
        weaver potter sculptor tourist neighbor landlord tenant cashier janitor porter courier chef trainer
        florist optician therapist veteran inspector captain curator""",
    "name": """
        Anna Boris Clara David Elena Felix Greta Henry Irene Jonas Karla Lucas Maria Nathan Olga Peter Ruth
        Simon Teresa Ursula Victor Wanda Xavier Yvonne Adam Beatrice Carlos Diana Edgar Fiona George Hannah Ivan
        Julia Kevin Laura Martin Nina Oscar Paula Quentin Rosa Stefan Tanya Ulrich Vera Walter Zoe Albert Bianca
        Conrad Daphne Emil Frieda Gustav Helga Igor Joanna Klaus Linda Marcus Nora Otto Pamela Rudolf Sandra
        Thomas Valerie Werner Agnes Bruno Cecilia Dennis Esther Frank Gloria Hector Ingrid Jacob Karen""",
    "surname": """
        Keller Novak Rossi Larsen Meyer Dubois Moreau Tanaka Costa Lopez Silva Kowalski Becker Jensen Fischer
        Bianchi Petrov Horvat Nilsen Weber Garcia Murphy Schneider Laurent Ferrari Andersson Popov Ramirez Walsh
        Lindgren Hoffman Martinez Brennan Sorensen Wagner Ricci Kimura Santos Nowak Olsen Kaplan Torres Mendez
        Sato Bauer Conti Dvorak Eriksen Fontaine Gallagher Hansen Ivanov Jansen Krueger Leclerc Marino Nakamura
        Ortega Pereira Quinn Romano Schmidt Takeda Vargas""",
    "thing": """
        lamp basket ladder bottle mirror blanket bucket candle carpet hammer kettle bell suitcase jacket pillow
        guitar wallet ticket letter camera helmet umbrella bicycle teapot saddle lantern drawing chair napkin
        magnet compass curtain notebook pencil envelope cushion towel cupboard drawer button needle ribbon
        barrel wagon anchor telescope microscope whistle trumpet balloon puppet lock keyboard battery fan brick
        shovel rake bracelet necklace vase statue rope tent map poster stamp coin cart kite mug fork spoon plate
        bowl jar scarf glove hat boot sandal violin chessboard thermometer""",
    "place": """
        kitchen harbor garage library museum station market hotel theater church castle garden cellar attic
        office factory warehouse hospital school prison stadium airport bakery tavern stable barn tunnel
        courtyard lobby corridor chapel temple studio laboratory gallery pharmacy workshop greenhouse cottage
        monastery embassy courthouse bakehouse ballroom nursery pantry basement terrace cinema palace fortress
        lighthouse mill orchard vineyard quarry shipyard cafeteria gymnasium dormitory mansion pavilion arcade
        boathouse""",
    "city": """
        Lisbon Madrid Oslo Vienna Prague Dublin Warsaw Athens Berlin Helsinki Budapest Geneva Munich Naples
        Seville Porto Lyon Hamburg Glasgow Turin Bergen Krakow Antwerp Rotterdam Marseille Valencia Bologna
        Leipzig Zurich Toronto Boston Chicago Seattle Houston Montreal Vancouver Lima Bogota Santiago Havana
        Nairobi Cairo Tunis Accra Lagos Mumbai Delhi Bangkok Hanoi Manila Osaka Kyoto Seoul Beijing Shanghai
        Jakarta Perth Melbourne Brisbane Auckland Wellington Istanbul Ankara Baghdad""",
    # Words that are a first name, a town, a company and a title equally well.
    "ambiguous": """
        Lincoln Austin Florence Sydney Charlotte Madison Jackson Orlando Savannah Brooklyn Victoria Chester
        Hudson Georgia Chelsea Alexandria Sofia Milan Regina Camden Kingston Trenton Adelaide Houghton Phoenix
        Raleigh Dallas Carson Preston Clayton Bristol Lancaster Windsor Bradford Stafford Warwick Ashton Clifton
        Dalton Everett Fremont Garland Hamilton Irving Jefferson Kendall Logan Marion Nelson Oakley Paxton
        Quincy Roland Sheldon Tyler Vernon Wesley York""",
    # Verbs with a person as their object, with a thing, and without an object.
    "greet": """
        praise/praised thank/thanked follow/followed warn/warned hire/hired visit/visited call/called
        help/helped invite/invited trust/trusted ignore/ignored admire/admired blame/blamed chase/chased
        interview/interviewed insult/insulted accuse/accused rescue/rescued recognize/recognized
        question/questioned welcome/welcomed mock/mocked contact/contacted surprise/surprised
        frighten/frightened kiss/kissed hug/hugged train/trained replace/replaced support/supported
        defend/defended attack/attacked annoy/annoyed comfort/comforted deceive/deceived amuse/amused
        photograph/photographed summon/summoned punish/punished reward/rewarded recommend/recommended
        respect/respected envy/envied scold/scolded phone/phoned tease/teased entertain/entertained
        dismiss/dismissed""",
    "handle": """
        unwrap/unwrapped sweep/swept repair/repaired carry/carried lift/lifted paint/painted polish/polished
        drop/dropped move/moved wash/washed inspect/inspected touch/touched drag/dragged borrow/borrowed
        hide/hid collect/collected destroy/destroyed examine/examined damage/damaged measure/measured
        wrap/wrapped steal/stole weigh/weighed count/counted pack/packed import/imported store/stored
        order/ordered choose/chose decorate/decorated restore/restored remove/removed design/designed
        discover/discovered purchase/purchased scratch/scratched lose/lost test/tested sketch/sketched
        burn/burned bury/buried label/labeled guard/guarded grab/grabbed assemble/assembled unload/unloaded
        auction/auctioned display/displayed""",
    "act": """
        sleep/slept laugh/laughed smile/smiled cough/coughed sneeze/sneezed arrive/arrived leave/left
        shout/shouted whisper/whispered dance/danced sing/sang cry/cried wait/waited yawn/yawned work/worked
        rest/rested travel/traveled protest/protested fall/fell kneel/knelt nod/nodded shiver/shivered
        faint/fainted complain/complained jump/jumped apologize/apologized vote/voted run/ran listen/listened
        escape/escaped hesitate/hesitated pray/prayed wake/woke stumble/stumbled tremble/trembled retire/retired
        sit/sat shrug/shrugged wave/waved blush/blushed swim/swam snore/snored mumble/mumbled resign/resigned
        exercise/exercised gamble/gambled argue/argued practice/practiced""",
    "transfer": """
        give/gave/given send/sent/sent sell/sold/sold lend/lent/lent offer/offered/offered show/showed/shown
        hand/handed/handed mail/mailed/mailed bring/brought/brought promise/promised/promised pass/passed/passed
        award/awarded/awarded rent/rented/rented grant/granted/granted deliver/delivered/delivered
        throw/threw/thrown""",
    "trait": """
        careful patient generous polite cheerful honest curious nervous clever stubborn lazy brave friendly
        ambitious shy jealous modest loyal energetic sensitive confident arrogant popular famous talented
        helpful creative reliable thoughtful anxious grumpy elegant reckless sincere witty cautious skilled
        humble sleepy tidy optimistic cruel practical serious tolerant diligent gentle fearless""",
    "color": """
        red blue green yellow purple orange pink brown gray golden silver white black crimson violet turquoise""",
    "kind": """
        dog/poodle/spaniel/beagle/terrier/bulldog bird/sparrow/robin/pigeon/eagle/falcon
        tree/oak/maple/birch/willow/pine fish/salmon/trout/herring/carp/cod flower/rose/tulip/daisy/orchid/lily
        vegetable/carrot/onion/cabbage/turnip/radish fruit/apple/banana/pear/cherry/plum
        insect/beetle/moth/wasp/ant/cricket vehicle/truck/taxi/tractor/van/bus boat/canoe/ferry/kayak/yacht/raft
        snake/cobra/python/viper/rattlesnake/boa weapon/sword/pistol/rifle/dagger/spear
        tool/screwdriver/wrench/chisel/drill/saw reptile/lizard/crocodile/turtle/gecko/iguana
        dessert/cake/pudding/pie/tart/brownie gem/ruby/diamond/emerald/sapphire/opal
        instrument/flute/harp/cello/clarinet/banjo shoe/slipper/sneaker/loafer/clog/moccasin
        horse/pony/stallion/mare/mustang/colt furniture/sofa/desk/bookcase/wardrobe/bench
        container/crate/box/carton/tub/tank drink/coffee/lemonade/milkshake/cocktail/beer
        aircraft/helicopter/glider/jet/biplane/airship monkey/baboon/macaque/gibbon/marmoset/tamarin""",
    "month": "January April July October March August November February May September June December",
    "year": " ".join(str(year) for year in range(1900, 2000)),
}
# fmt: on


def bank(name: str, split: str) -> list[tuple[str, ...]]:
    """The entries of a bank that belong to a split; an entry is a tuple of one word or of a group's words."""
    entries = [tuple(entry.split("/")) for entry in BANKS[name].split()]
    return [entry for i, entry in enumerate(entries) if _DEAL[i % len(_DEAL)] == split]


class Words:
    """Draws filler words of one split with one random generator."""

    def __init__(self, split: str, rng: Random) -> None:
        self.rng = rng
        self._banks = {name: bank(name, split) for name in BANKS}

    def groups(self, name: str, count: int) -> list[tuple[str, ...]]:
        """`count` different entries of a bank."""
        return self.rng.sample(self._banks[name], count)

    def group(self, name: str) -> tuple[str, ...]:
        """One entry of a bank with groups, such as (`sleep`, `slept`)."""
        return self.rng.choice(self._banks[name])

    def some(self, name: str, count: int) -> list[str]:
        """`count` different words of a bank without groups."""
        return [entry[0] for entry in self.groups(name, count)]

    def one(self, name: str) -> str:
        """One word of a bank without groups."""
        return self.group(name)[0]

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.rng.random() < probability


def with_article(word: str) -> str:
    """The word after `a` or `an`."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"


def plural(noun: str) -> str:
    """The plural of a regular noun."""
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")
