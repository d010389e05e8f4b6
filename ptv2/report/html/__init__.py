"""One HTML page that tells everything about the runs on disk and needs nothing else: `page.render`.

Tables come from `ptv2.report.tables`; `page.html`, `page.css`, `charts.js` and `page.js` are put into the page whole.
"""
