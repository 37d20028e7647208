// Asks a person to approve a short note, and sends it.

import type { Card, Input, Tools } from "@countersign/sdk";

/** What the manifest demands of the action `send`. */
interface Note {
  to: string;
  text: string;
}

export async function handleIntent({ intent, tools }: Input): Promise<Card> {
  switch (intent.action) {
    case "send":
      return await send(intent.parameters, tools);
    default:
      throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`);
  }
}

async function send({ to, text }: Note, tools: Tools): Promise<Card> {
  try {
    // The host looks ahead to the call of `send` below: that message is what the person is shown and approves, and no
    // other leaves. Where it is certain to be refused, nobody is asked, and this call throws.
    const answer = await tools.approval.request({
      action: "send_message",
      title: `Send a note to ${to}`,
      description: "You asked for it to be sent.",
    });
    if (!answer.approved) {
      const expired = answer.extras?.reason === "expired";
      return {
        type: "result",
        title: "Note not sent",
        description: expired ? "Nobody decided in time." : "You declined.",
      };
    }
    await tools.messages.send({ to: [to], subject: "A note", body: text });
    return { type: "result", title: "Note sent", description: `It went to ${to}.` };
  } catch (error) {
    // A refused call throws a ToolError: its code is for programs, its message for people.
    return { type: "error", title: "Note not sent", description: (error as ToolError).message };
  }
}
