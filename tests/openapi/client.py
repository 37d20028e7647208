"""What somebody does who was given the description of the API and nothing else: a client was written from it, and signs a message."""

import io
import os

from countersign_client.api.agents import get_agents, post_agents
from countersign_client.api.approvals import get_approvals, get_approvals_id, post_approvals_id_decision
from countersign_client.api.audit import get_audit, get_audit_verify
from countersign_client.api.intents import get_intents_id, post_intents
from countersign_client.api.me import get_me
from countersign_client.api.sent import get_sent
from countersign_client.api.server import get_metrics, get_readyz
from countersign_client.client import AuthenticatedClient
from countersign_client.models import Decide, NewIntent, NewIntentParameters, Problem, Verdict
from countersign_client.types import File

client = AuthenticatedClient(
    base_url=os.environ["COUNTERSIGN_SERVER"], token=os.environ["COUNTERSIGN_TOKEN"], raise_on_unexpected_status=True
)

me = get_me.sync(client=client)
assert me.name == "ada", me
agents = get_agents.sync(client=client).agents
assert [agent.id for agent in agents] == ["test.agent.script"], agents

message = {"to": ["team@example.com"], "subject": "Report of the week", "body": "The numbers are in.\n"}
ask = {"action": "send_message", "title": "Send the report", "description": "As every week.", "details": message}
steps = [{"call": "approval.request", "with": ask}, {"call": "messages.send", "with": message}]
parameters = NewIntentParameters.from_dict({"steps": steps})
order = NewIntent(agent=agents[0].id, action="script", parameters=parameters)
first = post_intents.sync(client=client, body=order, wait=30, idempotency_key="report-1")
assert first.status == "waiting", first
# The same order in other words: its keys stand in another order, and it is sent once more.
steps = [dict(reversed(step.items())) for step in steps]
again = NewIntent(agent=order.agent, action=order.action, parameters=NewIntentParameters.from_dict({"steps": steps}))
second = post_intents.sync(client=client, body=again, idempotency_key="report-1")
assert second.intent == first.intent, (first, second)

waiting = get_approvals.sync(client=client).approvals
assert len(waiting) == 1, waiting
shown = get_approvals_id.sync(waiting[0].id, client=client)
assert shown.action.subject == "Report of the week", shown
ran = post_approvals_id_decision.sync(
    shown.id, client=client, wait=30, body=Decide(verdict=Verdict.APPROVE, digest=shown.digest)
)
assert not isinstance(ran, Problem), ran
assert get_intents_id.sync(first.intent, client=client, wait=30).status == "done"
assert [sent.subject for sent in get_sent.sync(client=client).messages] == ["Report of the week"]

# A refusal is a problem document, and so is a component that is none.
refused = get_approvals_id.sync("appr_nope", client=client)
assert isinstance(refused, Problem) and refused.code == "UNKNOWN_ID", refused
refused = get_approvals.sync(client=client, before="appr_nope")
assert isinstance(refused, Problem) and refused.code == "UNKNOWN_ID", refused
refused = post_agents.sync(client=client, body=File(payload=io.BytesIO(b"no component")))
assert isinstance(refused, Problem) and refused.status == 422, refused

assert get_audit_verify.sync(client=client).entries > 3
assert get_audit.sync(client=client).count("\n") > 3
assert "countersign_sends_total" in get_metrics.sync(client=client)
assert get_readyz.sync(client=client) == "ready\n"
