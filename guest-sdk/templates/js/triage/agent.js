// Sorts recent mail into groups, and offers to answer what asks something.

/**
 * @typedef {import("@countersign/sdk").Card} Card
 * @typedef {import("@countersign/sdk").Message} Message
 * @typedef {import("@countersign/sdk").Tools} Tools
 */

/** In the order they are shown. */
const GROUPS = ["needs an answer", "other", "newsletter"];
const USUAL_WORDS = "Thank you for your message. I will come back to you soon.";
/** What stands before the @ of addresses nobody reads. */
const UNATTENDED = ["news", "newsletter", "no-reply", "noreply"];

/**
 * @param {import("@countersign/sdk").Input} input
 * @returns {Promise<Card>}
 */
export async function handleIntent({ intent, tools }) {
  switch (intent.action) {
    case "triage":
      return triage(await tools.messages.list({ limit: 50 }));
    case "reply":
      return await reply(intent.parameters, tools);
    default:
      throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`);
  }
}

/**
 * @param {Message[]} messages
 * @returns {Card}
 */
function triage(messages) {
  const groups = GROUPS.map((group) => messages.filter((message) => groupOf(message) === group));
  const counts = groups.map((members, number) => `${GROUPS[number]}: ${members.length}`);
  return { type: "list", title: "Recent mail", items: groups.flat().map(item), footer: counts.join(", ") };
}

/** @param {Message} message */
function groupOf({ from, subject, body }) {
  const mailbox = from.toLowerCase().split("@")[0];
  if (UNATTENDED.includes(mailbox) || body.toLowerCase().includes("unsubscribe")) return "newsletter";
  return `${subject} ${body}`.includes("?") ? "needs an answer" : "other";
}

/**
 * @param {Message} message
 * @returns {import("@countersign/sdk").Item}
 */
function item(message) {
  const { from, subject } = message;
  const group = groupOf(message);
  // Pressing the item submits the intent `reply` with these parameters.
  const action = { label: "Reply", action: "reply", params: { from, subject } };
  return {
    title: subject || "(no subject)",
    subtitle: from,
    metadata: group,
    action: group === "needs an answer" ? action : undefined,
  };
}

/**
 * @param {{ from: string, subject: string, text?: string }} parameters
 * @param {Tools} tools
 * @returns {Promise<Card>}
 */
async function reply({ from, subject, text }, tools) {
  const messages = await tools.messages.list({ from, limit: 100 });
  const message = messages.find((message) => message.subject === subject);
  if (message === undefined) {
    return { type: "error", title: "Nothing to answer", description: `${from} wrote no such message.` };
  }
  const answer = await tools.approval.request({
    action: "send_message",
    title: `Answer ${message.from}`,
    description: `A reply to "${subject}".`,
  });
  if (!answer.approved) return { type: "result", title: "Reply not sent" };
  // Exactly this message is what the person was shown: the host looked ahead to it.
  await tools.messages.send({ to: [message.from], subject: `Re: ${subject}`, body: text ?? USUAL_WORDS });
  return { type: "result", title: "Reply sent", description: `It went to ${message.from}.` };
}
