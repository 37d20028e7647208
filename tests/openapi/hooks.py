"""How a component is sent: as it is."""

import schemathesis


@schemathesis.serializer("application/wasm")
def component(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()
