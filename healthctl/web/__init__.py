"""The web bridge: healthd's page, its JSON, and its metrics for Prometheus, over HTTP.

    door        questions to healthd over the bus, for an event loop
    machine     how the machine is, as far as somebody looks
    page        what a browser shows first: `sections` of `cards` and tables (`devices`), and `charts`
    verdicts    the pages beside it: conditions, evidence, the question for the token
    live        what streams send of them as it changes
    api         JSON; `contract` describes it as OpenAPI
    exposition  OpenMetrics
    guard       who may ask, and how often
    site        which path leads where; `problem` is what it says where something is wrong
    connection  one client, and what it may cost
    server      where it listens, from its beginning to its end

`markup` writes HTML, and `static` is what the page loads. The arrows lead downwards from `server` over `site` to
`page`, `api` and `exposition`, and what these show comes up from `door` by `machine`.

It changes nothing: of the bus it calls what everybody may.
"""
