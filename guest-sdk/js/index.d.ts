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
   * `NETWORK_ERROR` where it may or may not have left
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
  /** The text part, or the HTML part reduced to text; at most 16 KiB. */
  body: string;
  /** There and true where `body` was cut. */
  truncated?: true;
  /** The Date header in UTC, or else the time of receipt; RFC 3339. */
  timestamp: string;
  /** True while nobody has read it. */
  unread: boolean;
  /** What else is known of it. */
  extras?: { messageId?: string; inReplyTo?: string; thread?: string };
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
  /** What the body is. Where absent, a body that starts with `<!doctype html` or `<html` is HTML. */
  bodyKind?: "text" | "html";
}

/** A message that has left. */
export interface Sent {
  /** Names the message in this mailbox, `msg_…`. */
  id: string;
  /** When it left; RFC 3339. */
  timestamp: string;
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
   * @throws the errors of the guarded call that would follow, where it is certain to be refused; `INVALID_PARAMETER`;
   * `RATE_LIMIT_EXCEEDED`
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
  /** RFC 3339. */
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
