// The example of the published contract: asks for approval, then sends a report.

/** @type {import("@countersign/sdk").HandleIntent} */
export async function handleIntent({ intent, tools }) {
  if (intent.action !== "send_report") {
    throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`, { parameter: "action" });
  }

  // The whole message is not in the details, nor need it be: the host looks ahead to the call of `send` below, and
  // that is what the person is shown and approves.
  const answer = await tools.approval.request({
    action: "send_message",
    title: "Send Q4 Report",
    description: "Send quarterly report to team@company.com",
    details: {
      preview: "Attached is the quarterly report...",
      subject: "Q4 2024 Report",
      to: ["team@company.com"],
    },
  });
  if (!answer.approved) {
    return { type: "error", title: "Message not sent", description: "You declined to send the message." };
  }

  try {
    await tools.messages.send({
      to: ["team@company.com"],
      subject: "Q4 2024 Report",
      body: "Attached is the quarterly report for review.",
    });
  } catch (error) {
    return { type: "error", title: "Failed to send message", description: error.message };
  }
  return { type: "result", title: "✅ Message sent", description: "Report sent to team@company.com" };
}
