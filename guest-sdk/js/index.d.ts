/**
 * Types of Countersign's agent API, version 0.1.
 *
 * Nothing here exists when an agent runs: write `import type { … } from "@countersign/sdk"`, and the import is erased.
 */

/** Anything JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** A JSON object. */
export type JsonObject = { [name: string]: Json };

/** What is asked of the agent. */
export interface Intent<Parameters = any> {
  /** One of the actions the manifest lists, such as `send_report`. */
  action: string;
  /** What satisfied the manifest's schema for this action. */
  parameters: Parameters;
}

/** Circumstances of the intent. All times are those of the run's record, so they repeat when it is replayed. */
export interface Context<Parameters = any> {
  /** What the user typed, where there was text. */
  text?: string;
  /** The same object as `intent.parameters`. */
  params: Parameters;
  /** The user on whose behalf the agent acts. */
  userId: string;
  /** When the intent was submitted: milliseconds since 1970-01-01 UTC. */
  timestamp: number;
  /** The same instant as RFC 3339 text in UTC. */
  now: string;
  /** Whatever the context gains later. */
  extras?: JsonObject;
}

/** The tools. Every call may throw a {@link ToolError}; those that were not granted throw `CAPABILITY_DENIED`. */
export interface Tools {
  readonly messages: Messages;
  readonly approval: Approval;
}

/** Read and send mail on behalf of the user. */
export interface Messages {
  /**
   * Lists incoming messages, newest first. Needs `messages.read`. Listing does not mark them as read.
   *
   * @throws `CAPABILITY_DENIED`, `INVALID_PARAMETER`, `SCOPE_VIOLATION`, `NETWORK_ERROR`
   */
  list(filter?: Filter): Promise<Message[]>;
  /**
   * Sends one message. Needs `messages.send`, and a person's approval of exactly this message.
   *
   * @throws `CAPABILITY_DENIED`, `INVALID_PARAMETER`, `INVALID_RECIPIENT` with the bad addresses, `SCOPE_VIOLATION`,
   * `APPROVAL_REQUIRED` where no approval covers exactly this message, `APPROVAL_DENIED` where the person declined it,
   * `NETWORK_ERROR` whose details say `outcome`: `not_sent`, or `uncertain` where it may have left all the same
   */
  send(message: Outgoing): Promise<Sent>;
}

/** Which messages to list. Members that are absent do not restrict. */
export interface Filter {
  /** Sender: the whole address, compared without regard to case. */
  from?: string;
  /** Only messages later than this: RFC 3339, or a date, which means 00:00 UTC of that day. */
  after?: string;
  /** How many at most, an integer from 1 to 100; 20 where absent. */
  limit?: number;
}

/** An incoming message. */
export interface Message {
  /** Names the message in this mailbox, `msg_…`. */
  id: string;
  /** Address of the sender. */
  from: string;
  /** Addresses of the To header. */
  to: string[];
  /** Decoded subject. */
  subject: string;
  /** What a person would read of it, HTML and invitations as text; at most 16 KiB. */
  body: string;
  /** There and true where `body` was cut. */
  truncated?: true;
  /** The Date header in UTC where it can be true, or else the time of receipt; RFC 3339. */
  timestamp: string;
  /** True while nobody has read it. */
  unread: boolean;
  /** What else is known of it. */
  extras?: MessageExtras;
}

/** What else is known of a message. Whoever wrote it chose all of it, and every member may be absent. */
export interface MessageExtras {
  /** The Message-ID header, without angle brackets. */
  messageId?: string;
  /** The Message-ID of the message it answers. */
  inReplyTo?: string;
  /** The Message-ID of the first message of its thread. */
  thread?: string;
  /** Addresses of the Cc headers, at most 100. */
  cc?: string[];
  /** Where answers are to go, if not to the sender. */
  replyTo?: string[];
  /** Names that stand beside addresses, by address, at most 32. A name is no proof of who somebody is. */
  names?: Record<string, string>;
  /** What came with it, at most 32: the type as declared, and the size in bytes where all of it is kept. */
  attachments?: { name?: string; type: string; size?: number }[];
}

/** A message to send. */
export interface Outgoing {
  /** At least one address. */
  to: string[];
  /** Further recipients whom everybody sees. */
  cc?: string[];
  /** Further recipients whom nobody else sees. */
  bcc?: string[];
  /** May be empty, which is pointed out to the person. */
  subject: string;
  /** May be empty, which is pointed out to the person. */
  body: string;
  /**
   * What the body is. Where absent, a body that starts with `<!doctype html` or `<html` is HTML. HTML leaves as the host writes it;
   * what a reader would see otherwise than the person is shown, such as `style`, pictures or a line break in a cell, is
   * INVALID_PARAMETER, with the cure.
   */
  bodyKind?: "text" | "html";
}

/** A message that has left. */
export interface Sent {
  /** Names the message in this mailbox, `msg_…`. */
  id: string;
  /** When it left; RFC 3339. */
  timestamp: string;
  /** Absent where there is nothing to say; `edited` where a person changed the message before signing it. */
  extras?: { edited?: boolean };
}

/** Ask a person before acting. Needs no capability. */
export interface Approval {
  /**
   * Waits until a person has decided, which may take days and outlive the process.
   *
   * The person is shown the guarded call the agent makes next, and it alone is approved; the request is quoted beside it
   * as the agent's words. So ask right before the call, with all it needs at hand. A person who declines is an answer,
   * not an error.
   *
   * @throws the errors of the guarded call that would follow, where it is certain to be refused whatever a person says:
   * `CAPABILITY_DENIED`, `INVALID_RECIPIENT`, `SCOPE_VIOLATION`, `INVALID_PARAMETER`; `RATE_LIMIT_EXCEEDED` where the same
   * message has been asked about too often, or this run has asked 64 times. So one `try` stands around both the ask and the call
   */
  request(request: ApprovalRequest): Promise<ApprovalAnswer>;
  /**
   * Looks up an approval this run asked for. Null while it is pending.
   *
   * @throws `RESOURCE_NOT_FOUND` where this run asked for no such approval
   */
  result(approvalId: string): Promise<ApprovalAnswer | null>;
}

/** What the agent tells the person. */
export interface ApprovalRequest {
  /** The kind of action, such as `send_message`. */
  action: string;
  /** One line, of which at most 120 characters are shown. */
  title: string;
  /** Why, of which at most 500 characters are shown. */
  description: string;
  /** What will be done: at most 64 KiB and 32 levels. */
  details?: JsonObject;
}

/** What the person answered. */
export interface ApprovalAnswer {
  /** Whether the person agreed. False too where nobody answered in time. */
  approved: boolean;
  /** Names this approval, `appr_…`. */
  approvalId: string;
  /** When it was asked, so that the answer is known before it is given; RFC 3339. */
  timestamp: string;
  /** `reason` is `expired` where nobody decided in time. */
  extras?: { reason?: "expired" };
}

/** The codes tools answer with. The list may grow. `countersign explain CODE` shows the page of each. */
export type Code =
  | "CAPABILITY_DENIED"
  | "APPROVAL_REQUIRED"
  | "APPROVAL_DENIED"
  | "INVALID_RECIPIENT"
  | "INVALID_PARAMETER"
  | "INVALID_DATE_RANGE"
  | "SCOPE_VIOLATION"
  | "FILE_NOT_FOUND"
  | "RESOURCE_NOT_FOUND"
  | "STORAGE_QUOTA_EXCEEDED"
  | "NETWORK_ERROR"
  | "RATE_LIMIT_EXCEEDED"
  | "TIMEOUT"
  | "INTERNAL_ERROR";

declare global {
  /**
   * What a tool call throws. An agent may throw one of its own: an error that is not caught becomes an error card of its
   * code and message.
   */
  class ToolError extends Error {
    constructor(code: string, message: string, details?: JsonObject);
    /** One of {@link Code}; an agent's own errors may use others. */
    readonly code: string;
    /** The bad addresses, the parameter at fault, the cure. */
    readonly details?: JsonObject;
  }

  // What an agent finds beside the language. It is all there is: there is no page and no Node.js.

  /** Writes lines into the log of the run. */
  interface Console {
    log(...values: unknown[]): void;
    info(...values: unknown[]): void;
    debug(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
    trace(...values: unknown[]): void;
    dir(value: unknown): void;
    table(value: unknown): void;
    assert(condition?: boolean, ...values: unknown[]): void;
    group(...values: unknown[]): void;
    groupCollapsed(...values: unknown[]): void;
    groupEnd(): void;
    count(label?: string): void;
    countReset(label?: string): void;
    time(label?: string): void;
    timeLog(label?: string, ...values: unknown[]): void;
    timeEnd(label?: string): void;
  }
  var console: Console;

  /** Calls back after so many milliseconds of the run's clock, which moves on its own: nobody waits for them. */
  function setTimeout<Rest extends unknown[]>(callback: (...rest: Rest) => void, delay?: number, ...rest: Rest): number;
  function setInterval<Rest extends unknown[]>(callback: (...rest: Rest) => void, delay?: number, ...rest: Rest): number;
  function clearTimeout(id?: number): void;
  function clearInterval(id?: number): void;
  function queueMicrotask(callback: () => void): void;

  function structuredClone<Value>(value: Value): Value;
  /** @throws DOMException where the text is not base64 */
  function atob(text: string): string;
  /** @throws DOMException where a character is above U+00FF */
  function btoa(text: string): string;
  /** There is no network: throws `CAPABILITY_DENIED`. */
  function fetch(...request: unknown[]): Promise<never>;

  /** Randomness of the run: it repeats when the run is replayed. */
  interface Crypto {
    getRandomValues<Integers extends
      | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array
      | BigInt64Array | BigUint64Array>(array: Integers): Integers;
    randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
  }
  var crypto: Crypto;

  /** The run's clock, which stands while the agent computes. */
  interface Performance {
    /** Milliseconds since the run began. */
    now(): number;
    readonly timeOrigin: number;
  }
  var performance: Performance;

  class DOMException extends Error {
    constructor(message?: string, name?: string);
    readonly code: number;
  }

  class TextEncoder {
    readonly encoding: "utf-8";
    encode(input?: string): Uint8Array;
    encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
  }

  class TextDecoder {
    /** @throws RangeError for any encoding but UTF-8 */
    constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
    readonly encoding: "utf-8";
    readonly fatal: boolean;
    readonly ignoreBOM: boolean;
    /** @throws TypeError where `fatal` and the bytes are not UTF-8 */
    decode(input?: ArrayBuffer | ArrayBufferView): string;
  }

  class URLSearchParams {
    constructor(init?: string | Record<string, string> | Iterable<[string, string]>);
    readonly size: number;
    append(name: string, value: string): void;
    delete(name: string, value?: string): void;
    get(name: string): string | null;
    getAll(name: string): string[];
    has(name: string, value?: string): boolean;
    set(name: string, value: string): void;
    sort(): void;
    forEach(callback: (value: string, name: string, params: URLSearchParams) => void, self?: unknown): void;
    entries(): IterableIterator<[string, string]>;
    keys(): IterableIterator<string>;
    values(): IterableIterator<string>;
    [Symbol.iterator](): IterableIterator<[string, string]>;
    toString(): string;
  }

  class URL {
    /** @throws TypeError where it is no URL */
    constructor(url: string | URL, base?: string | URL);
    static canParse(url: string | URL, base?: string | URL): boolean;
    static parse(url: string | URL, base?: string | URL): URL | null;
    href: string;
    readonly origin: string;
    protocol: string;
    username: string;
    password: string;
    host: string;
    hostname: string;
    port: string;
    pathname: string;
    search: string;
    hash: string;
    readonly searchParams: URLSearchParams;
    toString(): string;
    toJSON(): string;
  }
}

/** What `handleIntent` answers with; nothing means done without a card. */
export type Card = ResultCard | ErrorCard | SummaryCard | ListCard | SuggestionCard | ProgressCard | ApprovalCard;

/** Offers another intent: pressing it submits one. */
export interface Action {
  label: string;
  action: string;
  params?: JsonObject;
}

/** A line of a list. */
export interface Item {
  title: string;
  subtitle?: string;
  metadata?: Json;
  icon?: string;
  action?: Action;
}

export interface ResultCard {
  type: "result";
  title: string;
  description?: string;
  body?: string;
  actions?: Action[];
}

export interface ErrorCard {
  type: "error";
  title: string;
  description?: string;
  body?: string;
  code?: string;
  actions?: Action[];
}

export interface SummaryCard {
  type: "summary";
  title: string;
  items: Item[];
  footer?: string;
}

export interface ListCard {
  type: "list";
  title: string;
  items: Item[];
  footer?: string;
}

export interface SuggestionCard {
  type: "suggestion";
  title: string;
  description?: string;
  actions?: Action[];
  items?: Item[];
}

export interface ProgressCard {
  type: "progress";
  title: string;
  description?: string;
  /** 0 to 100. */
  progress: number;
  status?: string;
}

/** For display only: it never authorises anything. */
export interface ApprovalCard {
  type: "approval";
  title: string;
  description?: string;
  details?: JsonObject;
  approveLabel?: string;
  denyLabel?: string;
}

/** What `handleIntent` is given. */
export interface Input<Parameters = any> {
  intent: Intent<Parameters>;
  context: Context<Parameters>;
  tools: Tools;
}

/** The one function an agent exports. */
export type HandleIntent<Parameters = any> = (input: Input<Parameters>) => Promise<Card | void> | Card | void;

/** The older form, for agents that also export `intents`: the intent is its action alone. */
export type PositionalHandleIntent<Parameters = any> = (
  intent: string,
  context: Context<Parameters>,
  tools: Tools,
) => Promise<Card | void> | Card | void;
