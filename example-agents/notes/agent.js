// Takes notes and lists them. Where there is no storage, a note is mail to oneself.

const PREFIX = "Note: ";

/** @type {import("@countersign/sdk").HandleIntent} */
export async function handleIntent({ intent, context, tools }) {
  switch (intent.action) {
    case "take_note":
      return await take(intent.parameters, context.now, tools);
    case "list_notes":
      return await list(intent.parameters, tools);
    default:
      throw new ToolError("INVALID_PARAMETER", `This agent has no action \`${intent.action}\`.`);
  }
}

async function take({ address, text }, now, { approval, messages, storage }) {
  const stored = await unlessDenied(storage.write({ path: `notes://${now}.txt`, content: text }));
  if (stored !== undefined) return { type: "result", title: "Note kept", description: stored.path };

  console.log("There is no storage: the note is mailed.");
  const answer = await approval.request({
    action: "send_message",
    title: "Keep a note",
    description: "It is kept as mail to yourself.",
  });
  if (!answer.approved) return { type: "result", title: "Note not kept" };
  await messages.send({ to: [address], subject: PREFIX + titleOf(text), body: text });
  return { type: "result", title: "Note kept", description: `It was mailed to ${address}.` };
}

async function list({ address }, { messages, storage }) {
  const files = (await unlessDenied(storage.list({ path: "notes://*" }))) ?? [];
  const stored = files.map(({ content, lastModified }) => ({ text: content, time: lastModified }));
  // Others may write "Note: " too, so what they sent is left out.
  const mail = (await messages.list({ from: address, limit: 100 })).filter(({ subject }) => subject.startsWith(PREFIX));
  const mailed = mail.map(({ body, timestamp }) => ({ text: body, time: timestamp }));
  const notes = [...stored, ...mailed].sort((a, b) => (a.time < b.time ? 1 : -1));
  return {
    type: "list",
    title: notes.length === 0 ? "No notes" : `Notes: ${notes.length}`,
    items: notes.map(({ text, time }) => ({ title: titleOf(text), subtitle: text, metadata: time })),
  };
}

/** What the call gave; nothing where the tool is not there or was not granted. */
const unlessDenied = (call) =>
  call.catch((error) => {
    if (error.code !== "CAPABILITY_DENIED") throw error;
  });

const titleOf = (text) => text.trim().split("\n")[0].slice(0, 60);
