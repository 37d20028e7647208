// Summarises the inbox: what is unread, who writes most, what waits for an answer.

const SENDERS_MAX = 5;
const WAITING_MAX = 10;

/** @type {import("@countersign/sdk").HandleIntent} */
export async function handleIntent({ intent, tools }) {
  if (intent.action !== "digest") {
    throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`, { parameter: "action" });
  }
  const { from, after, limit = 100 } = intent.parameters;
  const messages = await tools.messages.list({ from, after, limit });
  const unread = messages.filter((message) => message.unread).length;
  const summary = {
    title: `${unread} unread`,
    subtitle: `of ${counted(messages.length)}`,
    metadata: String(unread),
    icon: "📬",
  };
  return { type: "summary", title: "Inbox digest", items: [summary, ...topSenders(messages), ...waiting(messages)] };
}

function topSenders(messages) {
  const counts = new Map();
  for (const { from } of messages) {
    const address = from.toLowerCase();
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  // By address first: the second sort is stable, so equal counts stay in that order.
  const senders = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).sort(([, a], [, b]) => b - a);
  return senders.slice(0, SENDERS_MAX).map(([address, count]) => ({
    title: address,
    subtitle: counted(count),
    metadata: String(count),
    icon: "👤",
  }));
}

function waiting(messages) {
  const answered = new Set(messages.map((message) => message.extras?.inReplyTo));
  const waits = ({ subject, extras }) => subject !== "" && !(extras?.messageId && answered.has(extras.messageId));
  return messages.filter(waits).slice(0, WAITING_MAX).map(({ subject, from, timestamp }) => ({
    title: subject,
    subtitle: from,
    metadata: timestamp,
    icon: "⏳",
  }));
}

function counted(messages) {
  return messages === 1 ? "1 message" : `${messages} messages`;
}
