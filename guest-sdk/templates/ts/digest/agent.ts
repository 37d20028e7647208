// Lists what is unread. It reads, and sends nothing.

import type { Card, Input, Item, Message } from "@countersign/sdk";

export async function handleIntent({ intent, tools }: Input<{ after?: string }>): Promise<Card> {
  switch (intent.action) {
    case "digest":
      // Whatever the call throws and nobody catches becomes an error card of its code and message.
      return digest(await tools.messages.list({ after: intent.parameters.after, limit: 100 }));
    default:
      throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`);
  }
}

function digest(messages: Message[]): Card {
  const unread = messages.filter((message) => message.unread);
  return {
    type: "summary",
    title: unread.length === 0 ? "Nothing is unread" : `${unread.length} unread`,
    items: unread.map(item),
    footer: `Messages looked at: ${messages.length}`,
  };
}

function item({ from, subject, timestamp }: Message): Item {
  return { title: subject || "(no subject)", subtitle: from, metadata: timestamp };
}
