// Writes to somebody called by name: to the one person of that name who wrote lately, or to the one the user picks.

import type { Card, Input, Item, Message, Tools } from "@countersign/sdk";

/** What the manifest demands of the action `write`. */
interface Letter {
  to: string;
  text: string;
}

export async function handleIntent({ intent, tools }: Input<Letter>): Promise<Card> {
  switch (intent.action) {
    case "write":
      return await write(intent.parameters, tools);
    default:
      throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`);
  }
}

async function write({ to, text }: Letter, tools: Tools): Promise<Card> {
  // Whoever has been picked comes back as an address.
  if (to.includes("@")) return await send(to, text, tools);
  const people = called(to, await tools.messages.list({ limit: 100 }));
  if (people.length === 0) {
    return { type: "error", title: `No ${to} has written lately`, description: "Say the address, or another name." };
  }
  if (people.length === 1) return await send(people[0].from, text, tools);
  return {
    type: "suggestion",
    title: `Which ${to}?`,
    description: `${people.length} people of that name have written to you.`,
    items: people.map((message) => item(message, text)),
  };
}

/** The newest message of everybody of that name. A mailbox has addresses only, so the name is one of their words. */
function called(name: string, messages: Message[]): Message[] {
  const newest = new Map<string, Message>();
  for (const message of messages) {
    const address = message.from.toLowerCase();
    const words = address.split("@")[0].split(/[._+-]/);
    if (words.includes(name.toLowerCase()) && !newest.has(address)) newest.set(address, message);
  }
  return [...newest.values()];
}

/** Pressing it submits the intent again, with the address instead of the name. */
function item({ from, subject, timestamp }: Message, text: string): Item {
  const action = { label: "Write", action: "write", params: { to: from, text } };
  return { title: from, subtitle: subject, metadata: timestamp, action };
}

async function send(to: string, text: string, { approval, messages }: Tools): Promise<Card> {
  // The person sees the address that was found, not the name it was found by.
  const answer = await approval.request({ action: "send_message", title: `Write to ${to}`, description: text });
  if (!answer.approved) return { type: "result", title: "Not sent" };
  await messages.send({ to: [to], subject: "A few words", body: text });
  return { type: "result", title: "Sent", description: `It went to ${to}.` };
}
