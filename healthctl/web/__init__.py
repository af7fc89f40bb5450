"""The web bridge: healthd's page, its JSON, and its metrics for Prometheus, over HTTP.

    door        questions to healthd over the bus, for an event loop
    machine     how the machine is, as far as somebody looks
    guard       who may ask, and how often
    api         JSON; `contract` describes it as OpenAPI
    exposition  OpenMetrics
    page        what a browser shows; `markup` writes it, `static` is what comes with it
    site        which path leads where
    server      where it listens, from its beginning to its end

It changes nothing: of the bus it calls what everybody may.
"""
