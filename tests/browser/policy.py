"""A strict content security policy, put on the answers of a page by the browser itself."""

import contextlib

OURS = "script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'"
OURS += "; font-src 'self'; worker-src 'self'; manifest-src 'self'"
POLICY = f"default-src 'none'; base-uri 'none'; {OURS}"


@contextlib.contextmanager
def strict(page, addresses="**/*"):
    """Answers have the policy for the length of a block, which fails if the page broke it."""
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)

    def with_policy(route):
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, "content-security-policy": POLICY})

    page.route(addresses, with_policy)
    yield
    # What is still on its way when the page closes would be an error of the next test.
    page.unroute_all(behavior="ignoreErrors")
    assert complaints == []
