// Lists what is unread. It reads, and sends nothing.

/**
 * @typedef {import("@countersign/sdk").Card} Card
 * @typedef {import("@countersign/sdk").Item} Item
 * @typedef {import("@countersign/sdk").Message} Message
 */

/**
 * @param {import("@countersign/sdk").Input<{ after?: string }>} input
 * @returns {Promise<Card>}
 */
export async function handleIntent({ intent, tools }) {
  switch (intent.action) {
    case "digest":
      // Whatever the call throws and nobody catches becomes an error card of its code and message.
      return digest(await tools.messages.list({ after: intent.parameters.after, limit: 100 }));
    default:
      throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`);
  }
}

/**
 * @param {Message[]} messages
 * @returns {Card}
 */
function digest(messages) {
  const unread = messages.filter((message) => message.unread);
  return {
    type: "summary",
    title: unread.length === 0 ? "Nothing is unread" : `${unread.length} unread`,
    items: unread.map(item),
    footer: `Messages looked at: ${messages.length}`,
  };
}

/**
 * @param {Message} message
 * @returns {Item}
 */
function item({ from, subject, timestamp }) {
  return { title: subject || "(no subject)", subtitle: from, metadata: timestamp };
}
