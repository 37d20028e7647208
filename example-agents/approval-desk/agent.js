// Asks a person: questions, whose answers authorise nothing, and to approve a message.

/** @type {import("@countersign/sdk").HandleIntent} */
export async function handleIntent({ intent, tools }) {
  switch (intent.action) {
    case "ask":
      return await ask(intent.parameters, tools);
    case "preview":
      return preview(intent.parameters);
    case "announce":
      return await announce(intent.parameters, tools);
    default:
      throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`);
  }
}

// No guarded call follows, so what is asked is a question: a yes lets nothing leave, and the person is told so.
async function ask({ question }, { approval }) {
  const { approvalId } = await approval.request({ action: "ask", title: question, description: "Yes or no?" });
  // Whoever needs the answer once more looks it up: the record stays the same.
  const answer = await approval.result(approvalId);
  return { type: "result", title: question, description: answer.approved ? "Yes." : whyNot(answer, "No.") };
}

// A card is for display: nobody is asked by it, and it approves nothing.
function preview({ to, text }) {
  const description = "You would be asked to approve this.";
  return { type: "approval", title: `Announce to ${to}`, description, details: message(to, text) };
}

async function announce({ to, text }, { approval, messages }) {
  try {
    await messages.send(message(to, text));
  } catch (error) {
    // Nobody has approved it yet, so nothing has left. Any other error becomes the card.
    if (error.code !== "APPROVAL_REQUIRED") throw error;
    const answer = await approval.request({ action: "send_message", title: `Announce to ${to}`, description: text });
    if (!answer.approved) {
      return { type: "result", title: "Not announced", description: whyNot(answer, "You declined.") };
    }
    // The same message as above: what is sent is what the person was shown, to the byte.
    await messages.send(message(to, text));
  }
  return { type: "result", title: "Announced", description: `It went to ${to}.` };
}

const message = (to, text) => ({ to: [to], subject: "Announcement", body: text });

const whyNot = ({ extras }, declined) => (extras?.reason === "expired" ? "Nobody decided in time." : declined);
