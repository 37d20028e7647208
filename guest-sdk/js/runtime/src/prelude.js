// What an agent finds beside the language, and what stands between its `handleIntent` and the contract.
//
// Evaluated once, before the image is taken; so nothing here may read the clock or randomness until a run begins.
(natives) => {
  "use strict";

  // ---- Errors -------------------------------------------------------------------------------------------------------

  class ToolError extends Error {
    constructor(code, message, details) {
      super(message);
      this.code = code;
      if (details !== undefined) this.details = details;
    }
  }
  Object.defineProperty(ToolError.prototype, "name", { value: "ToolError", configurable: true, writable: true });

  const invalid = (parameter, what) =>
    new ToolError("INVALID_PARAMETER", `Parameter \`${parameter}\` ${what}.`, { parameter });

  // A refusal comes back as a value.
  const answered = (answer) => {
    if (answer === null || answer.refused === undefined) return answer;
    const details = answer.details === undefined || answer.details === null ? undefined : JSON.parse(answer.details);
    throw new ToolError(answer.refused, answer.message, details);
  };

  // ---- Tools --------------------------------------------------------------------------------------------------------

  const absent = (value) => value === undefined || value === null;
  const record = (parameter, value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(parameter, "must be an object");
    return value;
  };
  // Half of a surrogate pair is no text anywhere else; JSON would write it as an escape that nobody else can read.
  const ESCAPES = /\\(?:ud[89a-f][0-9a-f]{2}|.)/g;
  const toJson = (value) => {
    const json = JSON.stringify(value);
    if (!json?.includes("\\ud")) return json;
    return json.replace(ESCAPES, (escape) => (escape.length > 2 ? "\ufffd" : escape));
  };
  const text = (parameter, value) => {
    if (typeof value !== "string") throw invalid(parameter, "must be a string");
    return value.toWellFormed();
  };
  const maybeText = (parameter, value) => (absent(value) ? null : text(parameter, value));
  const texts = (parameter, value) => {
    // Holes of an array are members too.
    const list = Array.isArray(value) ? Array.from(value) : [value, null];
    if (list.some((one) => typeof one !== "string")) throw invalid(parameter, "must be a list of addresses");
    return list.map((one) => one.toWellFormed());
  };
  const maybeTexts = (parameter, value) => (absent(value) ? [] : texts(parameter, value));

  const object = (parameter, value) => {
    let json;
    try {
      json = toJson(record(parameter, value));
    } catch (error) {
      throw error instanceof ToolError ? error : invalid(parameter, `cannot be written as JSON: ${error?.message}`);
    }
    if (!json?.startsWith("{")) throw invalid(parameter, "must be an object");
    return json;
  };

  // Every call of every published tool: the capability it needs, and how it is made where this host has it.
  const published = {
    "messages.list": ["messages.read", (filter) => {
      const { from, after, limit } = absent(filter) ? {} : record("filter", filter);
      if (!absent(limit) && (typeof limit !== "number" || (limit | 0) !== limit)) throw invalid("limit", "must be an integer from 1 to 100");
      return natives.list(maybeText("from", from), maybeText("after", after), absent(limit) ? null : limit);
    }],
    "messages.send": ["messages.send", (message) => {
      const { to, cc, bcc, subject, body, bodyKind } = record("message", message);
      return natives.send(texts("to", to), maybeTexts("cc", cc), maybeTexts("bcc", bcc), text("subject", subject),
        text("body", body), maybeText("bodyKind", bodyKind));
    }],
    "approval.request": [null, (ask) => {
      const { action, title, description, details } = record("request", ask);
      const json = absent(details) ? null : object("details", details);
      return natives.request(text("action", action), text("title", title), text("description", description), json);
    }],
    "approval.result": [null, (approvalId) => natives.result(text("approvalId", approvalId))],
    "calendar.listEvents": ["calendar.read"],
    "calendar.createEvent": ["calendar.write"],
    "contacts.search": ["contacts.read"],
    "storage.read": ["storage.read"],
    "storage.write": ["storage.write"],
    "storage.list": ["storage.read"],
    "network.fetch": ["network.fetch"],
  };

  const denied = (capability, cure) => {
    const sentence = `User has not granted ${capability} capability to this agent.`;
    return new ToolError("CAPABILITY_DENIED", sentence, { capability, cure });
  };

  const toolbox = (calls) => {
    const tools = {};
    for (const [name, [capability, make]] of Object.entries(published)) {
      const [tool, call] = name.split(".");
      tools[tool] ??= {};
      const linked = make !== undefined && calls.includes(name);
      tools[tool][call] = async (argument) => {
        if (!linked) {
          throw denied(capability ?? tool, make === undefined ? `There is no tool for ${tool} yet.` : "Declare it in agent.json.");
        }
        return answered(make(argument));
      };
    }
    for (const tool of Object.values(tools)) Object.freeze(tool);
    return Object.freeze(tools);
  };

  // ---- Time and randomness ------------------------------------------------------------------------------------------

  // xoshiro128**, seeded from the run at its first use.
  let state = null;
  const rotate = (x, k) => (x << k) | (x >>> (32 - k));
  const draw = () => {
    if (state === null) {
      state = new Uint32Array(natives.random(16).slice().buffer);
      if (state.every((word) => word === 0)) state[0] = 1;
    }
    const drawn = Math.imul(rotate(Math.imul(state[1], 5), 7), 9) >>> 0;
    const carried = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= carried;
    state[3] = rotate(state[3], 11);
    return drawn;
  };
  const define = (object, members) => {
    for (const [name, value] of Object.entries(members)) {
      Object.defineProperty(object, name, { value, configurable: true, writable: true, enumerable: false });
    }
  };
  define(Math, { random: () => (draw() * 2 ** 21 + (draw() >>> 11)) / 2 ** 53 });

  const RANDOM_BYTES_MAX = 65536;
  class Crypto {
    getRandomValues(array) {
      if (!ArrayBuffer.isView(array) || array instanceof DataView || array instanceof Float32Array ||
          array instanceof Float64Array) {
        throw new TypeError("getRandomValues takes an array of integers");
      }
      if (array.byteLength > RANDOM_BYTES_MAX) {
        throw new DOMException(`more than ${RANDOM_BYTES_MAX} bytes were asked for`, "QuotaExceededError");
      }
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(natives.random(array.byteLength));
      return array;
    }
    randomUUID() {
      const bytes = natives.random(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]].map(([from, to]) => hex.slice(from, to)).join("-");
    }
  }

  // The run's clock stands while the agent computes. Time begins with the run.
  let began = null;
  define(globalThis, { performance: Object.freeze({ now: () => natives.now() - began, get timeOrigin() { return began; } }) });

  // Timers fire in the order of their times, when nothing else is left to do; the run's clock moves to them. They lie in a
  // heap, the next one first; one that is stopped stays there until it comes up.
  const heap = [];
  const timers = new Map();
  let timerCount = 0;
  const earlier = (a, b) => a.at < b.at || (a.at === b.at && a.turn < b.turn);
  const swap = (i, j) => {
    [heap[i], heap[j]] = [heap[j], heap[i]];
  };
  const push = (timer) => {
    timer.turn = ++timerCount;
    let at = heap.push(timer) - 1;
    for (let up = (at - 1) >> 1; at > 0 && earlier(heap[at], heap[up]); at = up, up = (at - 1) >> 1) swap(at, up);
  };
  const pop = () => {
    swap(0, heap.length - 1);
    const next = heap.pop();
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < heap.length && earlier(heap[left], heap[least])) least = left;
      if (right < heap.length && earlier(heap[right], heap[least])) least = right;
      if (least === at) return next;
      swap(at, least);
      at = least;
    }
  };
  const start = (callback, delay, repeat, rest) => {
    if (typeof callback !== "function") throw new TypeError("a timer takes a function");
    const wait = Math.max(0, Math.min(Number(delay) || 0, 2 ** 31 - 1));
    const timer = { callback, rest, at: natives.now() + wait, every: repeat ? Math.max(1, wait) : null };
    push(timer);
    timer.id = timer.turn;
    timers.set(timer.id, timer);
    return timer.id;
  };
  const stop = (id) => void timers.delete(id);
  const attempt = (where, callback, rest) => {
    try {
      callback(...rest);
    } catch (error) {
      console.error(`Uncaught in a ${where}:`, error);
    }
  };
  const turn = () => {
    while (heap.length > 0) {
      const next = pop();
      if (!timers.has(next.id)) continue;
      natives.sleep(Math.max(0, next.at - natives.now()));
      if (next.every === null) {
        stop(next.id);
      } else {
        next.at += next.every;
        push(next);
      }
      attempt("timer", next.callback, next.rest);
      return true;
    }
    return false;
  };
  const { queueMicrotask: enqueue } = globalThis;
  const queueMicrotask = (callback) => {
    if (typeof callback !== "function") throw new TypeError("a microtask is a function");
    enqueue(() => attempt("microtask", callback, []));
  };

  // ---- Console ------------------------------------------------------------------------------------------------------

  const DEPTH_MAX = 4;
  const MEMBERS_MAX = 100;
  const quote = (value) => (typeof value === "string" ? JSON.stringify(value) : String(value));
  const inspect = (value, depth, seen) => {
    if (typeof value === "function") return `[function ${value.name || "anonymous"}]`;
    if (typeof value === "bigint") return `${value}n`;
    if (Object.is(value, -0)) return "-0";
    if (typeof value !== "object" || value === null) return quote(value);
    if (seen.includes(value)) return "[circular]";
    if (value instanceof Error) return described(value);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return String(value);
    if (value instanceof Promise) return "[promise]";
    if (depth > DEPTH_MAX) return Array.isArray(value) ? "[…]" : "{…}";
    const inner = (one) => inspect(one, depth + 1, [...seen, value]);
    const few = (members, one) => {
      const shown = [];
      for (const member of members) {
        if (shown.length === MEMBERS_MAX) {
          shown.push("…");
          break;
        }
        shown.push(one(member));
      }
      return shown.join(", ");
    };
    const spaced = (text) => (text === "" ? "{}" : `{ ${text} }`);
    if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) return `[${few(value, inner)}]`;
    if (value instanceof Map) return `Map ${spaced(few(value, ([key, one]) => `${inner(key)} => ${inner(one)}`))}`;
    if (value instanceof Set) return `Set ${spaced(few(value, inner))}`;
    const name = value.constructor?.name;
    const key = (one) => (/^[A-Za-z_$][\w$]*$/.test(one) ? one : JSON.stringify(one));
    const members = spaced(few(Object.keys(value), (one) => `${key(one)}: ${inner(value[one])}`));
    return name && name !== "Object" ? `${name} ${members}` : members;
  };
  const described = (error) => {
    const head = `${error.name}${error.code === undefined ? "" : ` ${error.code}`}: ${error.message}`;
    return `${head}\n${ours(error.stack)}`.trimEnd();
  };
  // Frames of this file say nothing to the author.
  const ours = (stack) => String(stack ?? "").split("\n").filter((line) => !line.includes("(countersign:")).join("\n");

  let indent = "";
  const marks = new Map();
  const counts = new Map();
  // More than the log of a run holds, and less than a call may carry.
  const LINES_CHARS_MAX = 2 ** 19;
  const shown = (value) => {
    if (typeof value === "string") return value;
    try {
      return inspect(value, 0, []);
    } catch {
      return "[what cannot be shown]";
    }
  };
  const say = (...values) => {
    const lines = values.map(shown).join(" ").slice(0, LINES_CHARS_MAX).split("\n").map((line) => indent + line);
    natives.print(lines.join("\n").slice(0, LINES_CHARS_MAX).toWellFormed());
  };
  const elapsed = (label) => `${label}: ${natives.now() - (marks.get(label) ?? natives.now())} ms`;
  const console = {
    log: say,
    info: say,
    debug: say,
    dir: (value) => say(value),
    warn: (...values) => say("warning:", ...values),
    error: (...values) => say("error:", ...values),
    table: (value) => say(value),
    trace: (...values) => {
      say("trace:", ...values);
      say(ours(new Error().stack).trimEnd());
    },
    assert: (condition, ...values) => {
      if (!condition) say("assertion failed:", ...values);
    },
    group: (...values) => {
      if (values.length > 0) say(...values);
      indent += "  ";
    },
    groupCollapsed: (...values) => console.group(...values),
    groupEnd: () => {
      indent = indent.slice(2);
    },
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      say(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => void counts.delete(label),
    time: (label = "default") => void marks.set(label, natives.now()),
    timeLog: (label = "default", ...values) => say(elapsed(label), ...values),
    timeEnd: (label = "default") => {
      say(elapsed(label));
      marks.delete(label);
    },
  };

  // ---- Text, URLs, clones -------------------------------------------------------------------------------------------

  class TextEncoder {
    get encoding() {
      return "utf-8";
    }
    encode(input = "") {
      return natives.encode(String(input).toWellFormed());
    }
    encodeInto(source, destination) {
      let read = 0;
      let written = 0;
      for (const character of String(source).toWellFormed()) {
        const bytes = natives.encode(character);
        if (written + bytes.length > destination.length) break;
        destination.set(bytes, written);
        read += character.length;
        written += bytes.length;
      }
      return { read, written };
    }
  }

  class TextDecoder {
    #fatal;
    #ignoreBOM;
    constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
      if (!["utf-8", "utf8", "unicode-1-1-utf-8"].includes(String(label).trim().toLowerCase())) {
        throw new RangeError(`TextDecoder knows utf-8 only, not ${label}`);
      }
      this.#fatal = Boolean(fatal);
      this.#ignoreBOM = Boolean(ignoreBOM);
    }
    get encoding() {
      return "utf-8";
    }
    get fatal() {
      return this.#fatal;
    }
    get ignoreBOM() {
      return this.#ignoreBOM;
    }
    decode(input = new Uint8Array()) {
      const view = ArrayBuffer.isView(input)
        ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength)
        : new Uint8Array(input);
      const decoded = natives.decode(view, this.#fatal, this.#ignoreBOM);
      if (decoded === null) throw new TypeError("the bytes are not UTF-8");
      return decoded;
    }
  }

  class URLSearchParams {
    #pairs = [];
    #changed = () => {};
    constructor(init = "") {
      if (typeof init === "object" && init !== null) {
        const pairs = typeof init[Symbol.iterator] === "function" ? [...init] : Object.entries(init);
        this.#pairs = pairs.map((pair) => {
          const [name, value, ...more] = pair;
          if (value === undefined || more.length > 0) throw new TypeError("a parameter is a pair of name and value");
          return [String(name).toWellFormed(), String(value).toWellFormed()];
        });
      } else {
        this.#parse(String(init));
      }
    }
    #parse(query) {
      const flat = natives.parseForm(query.toWellFormed().replace(/^\?/, ""));
      this.#pairs = [];
      for (let i = 0; i < flat.length; i += 2) this.#pairs.push([flat[i], flat[i + 1]]);
    }
    // For URL: follow it, and tell it.
    static follow(query, changed) {
      const params = new URLSearchParams(query);
      params.#changed = changed;
      return params;
    }
    static reset(params, query) {
      params.#parse(query);
    }
    get size() {
      return this.#pairs.length;
    }
    append(name, value) {
      this.#pairs.push([String(name).toWellFormed(), String(value).toWellFormed()]);
      this.#changed();
    }
    delete(name, value) {
      this.#pairs = this.#pairs.filter(([n, v]) => n !== String(name) || (value !== undefined && v !== String(value)));
      this.#changed();
    }
    get(name) {
      return this.#pairs.find(([n]) => n === String(name))?.[1] ?? null;
    }
    getAll(name) {
      return this.#pairs.filter(([n]) => n === String(name)).map(([, value]) => value);
    }
    has(name, value) {
      return this.#pairs.some(([n, v]) => n === String(name) && (value === undefined || v === String(value)));
    }
    set(name, value) {
      const at = this.#pairs.findIndex(([n]) => n === String(name));
      const pair = [String(name).toWellFormed(), String(value).toWellFormed()];
      this.#pairs = this.#pairs.filter(([n], i) => n !== pair[0] || i === at);
      if (at < 0) this.#pairs.push(pair);
      else this.#pairs[at] = pair;
      this.#changed();
    }
    sort() {
      this.#pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      this.#changed();
    }
    forEach(callback, self) {
      for (const [name, value] of this.#pairs) callback.call(self, value, name, this);
    }
    *entries() {
      yield* this.#pairs.map((pair) => [...pair]);
    }
    *keys() {
      for (const [name] of this.#pairs) yield name;
    }
    *values() {
      for (const [, value] of this.#pairs) yield value;
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    toString() {
      return natives.writeForm(...this.#pairs.flat());
    }
  }
  const { follow, reset } = URLSearchParams;
  delete URLSearchParams.follow;
  delete URLSearchParams.reset;

  class URL {
    #members;
    #params = null;
    constructor(url, base) {
      const parsed = natives.parseUrl(String(url).toWellFormed(), base === undefined ? null : String(base).toWellFormed());
      if (parsed === null) throw new TypeError(`Invalid URL: ${url}`);
      this.#members = parsed;
    }
    static canParse(url, base) {
      return URL.parse(url, base) !== null;
    }
    static parse(url, base) {
      try {
        return new URL(url, base);
      } catch {
        return null;
      }
    }
    static {
      const names = ["protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
      for (const name of names) {
        Object.defineProperty(URL.prototype, name, {
          configurable: true,
          enumerable: true,
          get() {
            return this.#members[name];
          },
          set(value) {
            this.#members = natives.changeUrl(this.#members.href, name, String(value).toWellFormed());
            if (name === "search" && this.#params !== null) reset(this.#params, this.#members.search);
          },
        });
      }
    }
    get origin() {
      return this.#members.origin;
    }
    get href() {
      return this.#members.href;
    }
    set href(value) {
      this.#members = new URL(value).#members;
      if (this.#params !== null) reset(this.#params, this.#members.search);
    }
    get searchParams() {
      this.#params ??= follow(this.#members.search, () => {
        this.#members = natives.changeUrl(this.#members.href, "search", this.#params.toString());
      });
      return this.#params;
    }
    toString() {
      return this.#members.href;
    }
    toJSON() {
      return this.#members.href;
    }
  }

  const structuredClone = (value) => {
    const seen = new Map();
    const unclonable = (what) => {
      throw new DOMException(`${what} could not be cloned.`, "DataCloneError");
    };
    const copy = (from) => {
      if (typeof from === "function") unclonable(`The function ${from.name || "anonymous"}`);
      if (typeof from === "symbol") unclonable("A symbol");
      if (typeof from !== "object" || from === null) return from;
      if (seen.has(from)) return seen.get(from);
      const keep = (to) => {
        seen.set(from, to);
        return to;
      };
      if (from instanceof Date) return keep(new Date(from.getTime()));
      if (from instanceof RegExp) return keep(new RegExp(from.source, from.flags));
      if (from instanceof Boolean || from instanceof Number || from instanceof String) return keep(Object(from.valueOf()));
      if (from instanceof ArrayBuffer) return keep(from.slice(0));
      if (ArrayBuffer.isView(from)) {
        const length = from instanceof DataView ? from.byteLength : from.length;
        return keep(new from.constructor(copy(from.buffer), from.byteOffset, length));
      }
      if (from instanceof Map) {
        const to = keep(new Map());
        for (const [key, one] of [...from]) to.set(copy(key), copy(one));
        return to;
      }
      if (from instanceof Set) {
        const to = keep(new Set());
        for (const one of [...from]) to.add(copy(one));
        return to;
      }
      if (from instanceof Error) {
        const known = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
        const kind = known.find((one) => from.name === one.name) ?? Error;
        const to = keep(new kind(from.message));
        define(to, { stack: from.stack, ...("cause" in from ? { cause: copy(from.cause) } : {}) });
        return to;
      }
      for (const kind of [Promise, WeakMap, WeakSet, WeakRef]) {
        if (from instanceof kind) unclonable(`A ${kind.name}`);
      }
      const to = keep(Array.isArray(from) ? new Array(from.length) : {});
      for (const key of Object.keys(from)) to[key] = copy(from[key]);
      return to;
    };
    return copy(value);
  };

  define(globalThis, {
    ToolError,
    console,
    crypto: new Crypto(),
    setTimeout: (callback, delay, ...rest) => start(callback, delay, false, rest),
    setInterval: (callback, delay, ...rest) => start(callback, delay, true, rest),
    clearTimeout: stop,
    clearInterval: stop,
    fetch: async () => {
      throw denied("network.fetch", "An agent has its tools, and no network.");
    },
    queueMicrotask,
    structuredClone,
    TextEncoder,
    TextDecoder,
    URL,
    URLSearchParams,
  });

  // ---- The agent ----------------------------------------------------------------------------------------------------

  // Where in the author's source an error was thrown: "agent.js:12:5". A frame is "at name (place)" or "at place"; what
  // was parsed at run time is "<input>", and nothing of the author's.
  const place = (error) => {
    for (const line of ours(error.stack).split("\n")) {
      const found = /\((.+:\d+:\d+)\)$/.exec(line) ?? /^\s*at (.+:\d+:\d+)$/.exec(line);
      if (found !== null && !found[1].startsWith("<")) return found[1];
    }
    return undefined;
  };

  // An error the agent did not catch. One with a code is told as it is; any other says where it happened.
  const failed = (error) => {
    try {
      return told(error);
    } catch {
      return { code: "Error", message: "The agent threw an error that cannot be described.", details: null };
    }
  };
  const detailed = (error) => {
    try {
      return absent(error.details) ? null : toJson(error.details) ?? null;
    } catch {
      return null;
    }
  };
  // More than a card may have, and less than a call may carry.
  const clip = (text) => String(text ?? "").slice(0, LINES_CHARS_MAX).toWellFormed();
  const told = (error) => {
    const code = error?.code;
    if (typeof code === "string" && code !== "") {
      return { code: clip(code), message: clip(error.message), details: detailed(error) };
    }
    console.error("Uncaught", error);
    if (!(error instanceof Error)) return { code: "Error", message: clip(shown(error)), details: null };
    const where = place(error);
    const message = where === undefined ? clip(error.message) : `${clip(error.message)} (${where})`;
    return { code: clip(error.name), message, details: null };
  };

  const KINDS = ["result", "error", "summary", "list", "suggestion", "progress", "approval"];
  const card = (answer) => {
    if (absent(answer)) return {};
    if (typeof answer !== "object" || Array.isArray(answer)) {
      throw new TypeError(`handleIntent answered ${inspect(answer, 0, [])}; it returns a card, or nothing`);
    }
    const { type, title, ...content } = answer;
    if (!KINDS.includes(type)) throw new TypeError(`a card's type is one of ${KINDS.join(", ")}; this one's is ${quote(type)}`);
    if (typeof title !== "string") throw new TypeError(`a card has a title; this one's is ${quote(title)}`);
    const json = Object.keys(content).length === 0 ? null : toJson(content);
    return { kind: type, title: title.toWellFormed(), content: json };
  };

  const handle = async (load, given, calls) => {
    try {
      began = natives.now();
      const { namespace, evaluated } = load();
      await evaluated;
      const owner = namespace.handleIntent !== undefined ? namespace : namespace.default;
      const handler = owner?.handleIntent ?? owner;
      if (typeof handler !== "function") {
        throw new TypeError("the agent exports no function handleIntent");
      }
      const parameters = JSON.parse(given.parameters);
      const context = { params: parameters, userId: given.userId, timestamp: given.timestamp, now: given.now };
      if (!absent(given.text)) context.text = given.text;
      if (!absent(given.extras)) context.extras = JSON.parse(given.extras);
      const tools = toolbox(calls);
      // The older form: handleIntent(intent, context, tools), with the action for an intent.
      const positional = namespace.intents !== undefined || handler.length > 1;
      return card(await (positional
        ? handler.call(owner, given.action, context, tools)
        : handler.call(owner, { intent: { action: given.action, parameters }, context, tools })));
    } catch (error) {
      return failed(error);
    }
  };

  // Promises that were rejected and that nobody has looked at yet.
  const unseen = new Map();
  const rejected = (promise, reason, seen) => {
    if (seen) unseen.delete(promise);
    else unseen.set(promise, reason);
  };
  const end = () => {
    for (const reason of unseen.values()) console.error("Unhandled rejection:", reason);
  };

  return { handle, turn, rejected, end };
};
