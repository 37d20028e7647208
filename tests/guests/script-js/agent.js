// The scripted agent of `tests/guests/script` once more: the same steps, and line for line the same transcript. What a
// step is stands there.
//
// What differs: a number from `random` is another one; the adapter refuses `details` that are no object before the host
// hears of them; and JavaScript has no trap, so `trap` burns what budget is left.

/** @param {import("@countersign/sdk").Input} input */
export async function handleIntent({ intent, tools }) {
  if (intent.action !== "script") throw invalid("action", intent.action);
  const { steps, card } = intent.parameters;
  const script = new Script(tools);
  for (const step of Array.isArray(steps) ? steps : []) {
    const call = text(step, "call");
    const given = step.with ?? {};
    if (!script.isDue(step)) continue;
    if (call === "fail") throw new ToolError(text(given, "code"), text(given, "message"), details(given));
    for (let turn = 0; turn < (count(step.times) ?? 1); turn++) {
      script.lines.push(await script.line(call, given, step.full === true));
    }
  }
  if (card === null) return;
  return shown(card ?? { type: "result", title: "transcript", body: script.told() });
}

class Script {
  began = performance.now();
  last = null;
  lines = [];

  constructor(tools) {
    this.tools = tools;
  }

  /** Whether the last answer is the one the step wants, if it wants one. */
  isDue(step) {
    if (!("when" in step)) return true;
    return this.last !== null && step.when === (this.last.approved ? "approved" : "declined");
  }

  /** The lines so far. */
  told() {
    return this.lines.join("\n");
  }

  async line(call, given, full) {
    try {
      return `${call} -> ok ${JSON.stringify(await this.perform(call, given, full))}`;
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      return `${call} -> ${error.code} ${error.message} ${JSON.stringify(error.details ?? null)}`;
    }
  }

  async perform(call, given, full) {
    const { messages, approval } = this.tools;
    switch (call) {
      case "messages.list": {
        const limit = Number.isInteger(given.limit) ? given.limit | 0 : undefined;
        const listed = await messages.list({ from: maybe(given, "from"), after: maybe(given, "after"), limit });
        return listed.map(full ? whole : brief);
      }
      case "messages.send": {
        const { id, timestamp, extras } = await messages.send({
          to: texts(given, "to"),
          cc: texts(given, "cc"),
          bcc: texts(given, "bcc"),
          subject: text(given, "subject"),
          body: text(given, "body").replaceAll("$lines", () => this.told()),
          bodyKind: maybe(given, "bodyKind"),
        });
        return extras === undefined ? { id, timestamp } : { extras, id, timestamp };
      }
      case "approval.request":
        return this.heard(await approval.request({
          action: text(given, "action"),
          title: text(given, "title"),
          description: text(given, "description"),
          details: details(given),
        }));
      case "approval.result": {
        const id = text(given, "approvalId");
        const answer = await approval.result(id === "$last" && this.last !== null ? this.last.approvalId : id);
        return answer && this.heard(answer);
      }
      case "log":
        console.log(text(given, "text"));
        return null;
      case "clock":
        return { elapsed: performance.now() - this.began, now: Date.now() };
      case "random":
        return Math.floor(Math.random() * Number.MAX_SAFE_INTEGER);
      case "sleep":
        await new Promise((done) => setTimeout(done, count(given.ms) ?? 0));
        return null;
      case "loop":
        for (let turn = count(given.n) ?? 0; turn > 0; turn--);
        return null;
      case "trap":
        for (;;);
      default:
        throw invalid("call", call);
    }
  }

  /** Remembers an answer for `when` and `$last`. */
  heard(answer) {
    this.last = answer;
    const { approvalId, approved, extras = null, timestamp } = answer;
    return sorted({ approvalId, approved, extras, timestamp });
  }
}

const brief = ({ id, from, subject }) => `${id} ${from} ${subject}`;

function whole({ body, extras = null, from, id, subject, timestamp, to, truncated = false, unread }) {
  const length = new TextEncoder().encode(body).length;
  if (length > 1000) body = `${[...body].slice(0, 20).join("")}… ${length} bytes`;
  return sorted({ body, extras, from, id, subject, timestamp, to, truncated, unread });
}

/** The card as given, whatever its kind and fields. */
function shown(card) {
  const { type, title, ...content } = card;
  return { type: text({ type }, "type"), title: text({ title }, "title"), ...sorted(content) };
}

const text = (given, name) => maybe(given, name) ?? "";

function maybe(given, name) {
  const value = given[name];
  if (typeof value?.repeat === "string" && count(value.times) !== undefined) return value.repeat.repeat(value.times);
  return typeof value === "string" ? value : undefined;
}

function texts(given, name) {
  if (!Array.isArray(given[name])) return [];
  return given[name].map((one) => (typeof one === "string" ? one : ""));
}

const details = (given) => maybe(given, "details") ?? sorted(given.details);

const count = (value) => (Number.isInteger(value) && value >= 0 ? value : undefined);

/** The same with the members of every object in order, as the Rust agent writes them. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

const invalid = (parameter, given) =>
  new ToolError("INVALID_PARAMETER", `The script cannot use ${parameter} \`${given}\`.`, { parameter });
