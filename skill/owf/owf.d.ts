/**
 * Globals of a workflow script: the dialect of `.claude/workflows/*.js`, and what owf adds under `owf`.
 *
 * Put this line on top of a script (below `export const meta` or above it, it is a comment) to have an editor check it:
 *
 *     /// <reference path="./owf.d.ts" />
 *
 * A script is one module: `export const meta = { name, description }` first, then a body with top-level `await` and
 * `return`. It has no imports, no network, no files, no clock and no chance; only agents do.
 */

/** What a script says about itself; written as `export const meta = { ... }` with literals only. */
interface WorkflowMeta {
  /** The name it is found by. Any non-empty text. */
  name: string;
  /** What it is for, in a sentence. */
  description: string;
  /** When to use it. */
  whenToUse?: string;
  /** Phases shown from the beginning. They are labels only. */
  phases?: { title: string; detail?: string; model?: string }[];
}

/** Any JSON value. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A JSON Schema (2020-12) whose root says `type: 'object'`. */
type ObjectSchema = { type: "object"; [keyword: string]: unknown };

/** How failed attempts of a call are tried again. */
interface Retry {
  /** Attempts in all, the first included. */
  maxAttempts: number;
  /** Milliseconds before the second attempt. */
  delayMs?: number;
  /** Factor by which the delay grows, 1 when absent. */
  backoff?: number;
  /** Error classes that are retried (`rate_limited`, `timeout`, ...); absent = all retryable ones. */
  on?: string | string[];
}

/** Options of `agent`. Unknown ones are ignored. */
interface AgentOptions {
  /** What people call it; the beginning of the prompt when absent. */
  label?: string;
  /** The phase it is shown under; the current `phase()` when absent. */
  phase?: string;
  /** Asks for a value of this shape instead of text. An answer that never fits throws. */
  schema?: ObjectSchema | null;
  /** The model, passed on as written. */
  model?: string;
  /** How hard to think, where the provider knows it. */
  effort?: "low" | "medium" | "high" | "xhigh" | "max" | (string & {});
  /** `worktree` gives the agent a git worktree of its own. */
  isolation?: "worktree" | (string & {});
  /** A persona: `general-purpose`, `Explore`, `Plan`, or a file of `.claude/agents`. */
  agentType?: string;
  /** Tools it may not use. */
  disallowedTools?: string[];

  // What follows is owf's own; other runtimes ignore it.

  /** The provider to ask, instead of the run's. */
  provider?: string;
  /** Milliseconds one attempt may take. */
  timeoutMs?: number;
  /** Retries of failed attempts. */
  retry?: Retry;
  /** How the cache across runs is used for this call. */
  cache?: "auto" | "refresh" | "read_only" | "disabled";
  /** Keeps cache entries apart. */
  cacheNamespace?: string;
  /** Paths below the workspace that the agent reads. */
  readScope?: string | string[];
  /** Paths below the workspace that the agent may write; with one, the call counts as changing things. */
  writeScope?: string | string[];
  /** The system prompt. */
  system?: string;
  /** What was said before the prompt, in order. Agent programs get it as text before the prompt. */
  messages?: { role: "user" | "assistant"; content: string }[];
  /** Tools it may use; absent = all. Agents of services may name tools of the user's configuration, too. */
  tools?: string[];
  /** The mode in which it uses tools of the user's configuration. */
  mode?: string;
  /** Stored with the call, part of no key. */
  metadata?: Json;
  /** What to do when the process died while this call was changing things: ask a person, run it again, or fail. */
  onLost?: "ask" | "rerun" | "fail";
}

/**
 * Asks an agent. Resolves to its text, or with `schema` to the value; to `null` when the provider failed. Throws when the
 * answer never fits the schema, when the budget is spent (`WorkflowBudgetExceededError`), and beyond the limit of calls
 * (`WorkflowAgentCapError`).
 */
declare function agent(prompt: string, options?: AgentOptions & { schema?: null }): Promise<string | null>;
declare function agent<T = any>(prompt: string, options: AgentOptions & { schema: ObjectSchema }): Promise<T | null>;

/** Runs functions side by side and waits for all. A throw becomes `null` and is recorded. At most 4096. */
declare function parallel<T>(thunks: (() => T | Promise<T>)[]): Promise<(T | null)[]>;

/** A stage of `pipeline`: gets what the stage before gave (the first: the item), the item, and its index. */
type Stage<In, Item, Out> = (previous: In, item: Item, index: number) => Out | Promise<Out>;

/**
 * Sends every item through the stages, each item at its own pace. `null` ends an item; a throw becomes `null` and is recorded.
 * At most 4096 items.
 */
declare function pipeline<I>(items: I[]): Promise<I[]>;
declare function pipeline<I, A>(items: I[], a: Stage<I, I, A>): Promise<(A | null)[]>;
declare function pipeline<I, A, B>(items: I[], a: Stage<I, I, A>, b: Stage<A, I, B>): Promise<(B | null)[]>;
declare function pipeline<I>(items: I[], ...stages: Stage<any, I, any>[]): Promise<any[]>;

/** Runs another workflow, by its exact `meta.name` or by path, and gives what it returns. Throws what it throws. */
declare function workflow<T = any>(target: string | { scriptPath: string }, args?: Json): Promise<T>;

/** Sets the phase of the calls that follow. */
declare function phase(title: string): void;

/** Writes a line to the run's log. Only the first argument is used; objects show as `[object]`. */
declare function log(message: unknown): void;

/** The arguments of the run; `undefined` without any. */
declare const args: any;

/** Output tokens of the run. */
declare const budget: {
  /** The ceiling, `null` without one. */
  readonly total: number | null;
  /** Spent so far. */
  spent(): number;
  /** What is left, `Infinity` without a ceiling. */
  remaining(): number;
};

/** Writes to the run's log. */
declare const console: {
  log(...items: unknown[]): void;
  info(...items: unknown[]): void;
  debug(...items: unknown[]): void;
  warn(...items: unknown[]): void;
  error(...items: unknown[]): void;
};

/** Calls `callback` without arguments after `ms` milliseconds. A pending timer does not keep the run alive. */
declare function setTimeout(callback: () => void, ms?: number): number;

/** Takes a timer back. */
declare function clearTimeout(timer?: number): void;

/** The query of a `URL`; changes show in its `search`. */
interface URLSearchParams {
  readonly size: number;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string): boolean;
  append(name: string, value: string): void;
  set(name: string, value: string): void;
  delete(name: string): void;
  sort(): void;
  forEach(visit: (value: string, name: string) => void): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, string]>;
  toString(): string;
}

/** A parsed URL. */
declare class URL {
  constructor(url: string, base?: string);
  static canParse(url: string, base?: string): boolean;
  static parse(url: string, base?: string): URL | null;
  readonly href: string;
  readonly origin: string;
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  pathname: string;
  search: string;
  hash: string;
  readonly searchParams: URLSearchParams;
  toString(): string;
  toJSON(): string;
}

/** What owf adds. A script that uses it runs only with owf. */
declare namespace owf {
  /** How a call ended. */
  type Status =
    | "done" | "failed" | "schema_failed" | "provider_failed" | "timeout" | "worktree_failed" | "budget_exhausted"
    | "denied" | "skipped" | "cancelled";

  /** Why a call failed. */
  interface CallError {
    /** Its class: `timeout`, `schema`, `auth`, ... */
    class: string;
    message: string;
    /** The name of the error that `agent` would throw, where it throws. */
    name?: string;
    /** What to do about it. */
    hint?: string;
    /** Where the answer broke its schema. */
    schemaErrors?: { pointer: string; message: string; got?: Json }[];
    /** How long the provider asked to wait. */
    retryAfterMs?: number;
  }

  /** Everything known about a finished call. */
  interface Result<T = any> {
    /** Whether it is done. */
    ok: boolean;
    /** How it ended. */
    status: Status;
    /** The text of the answer. */
    text: string | null;
    /** The value; without a schema the text. */
    value: T | null;
    /** Why it failed. */
    error: CallError | null;
    /** The call, such as `c0009`; `null` for what never was a call. */
    callId: string | null;
    /** Where the answer came from when it was given; `null` for what never was a call. */
    cacheStatus: "replayed" | "hit" | "miss" | "bypassed" | "disabled" | null;
    /** Tokens. */
    usage: { inputTokens: number; outputTokens: number; cacheReadTokens: number; cacheWriteTokens: number };
    /** Cost in US dollars, when known. */
    costUsd: number | null;
    /** The provider that answered. */
    provider: string | null;
    /** The model that answered. */
    model: string | null;
    /** Attempts made; 0 when none was. */
    attempts: number;
    /** The worktree that was kept. */
    worktreePath: string | null;
    /** Its branch. */
    worktreeBranch: string | null;
    /** Files it changed, relative to its directory. */
    changedFiles: string[];
    /** Files that belong to the call. */
    artifacts: { path: string; kind: string; sizeBytes: number }[];
    /** `true` when the fake provider invented the answer. */
    simulated?: true;
    /** Itself; throws when the call is not done. */
    requireOk(): Result<T>;
    /** The value; throws when there is none. */
    valueOrRaise(): T;
    /** The text; throws when there is none. */
    textOrRaise(): string;
  }

  /** A slot of a fan-out that failed. */
  interface Failed extends Result<any> {
    ok: false;
  }

  /** Options of `owf.parallel` and `owf.pipeline`, given last. */
  interface FanOutOptions {
    /** At most so many slots at once. */
    concurrency?: number;
    /** Cancels the others when one fails. */
    failFast?: boolean;
    /** Starts no further slot after one failed. */
    stopOnError?: boolean;
  }

  /** Like the global `agent`, with the whole result instead of the answer; it does not throw when the call fails. */
  function agent<T = any>(prompt: string, options?: AgentOptions): Promise<Result<T>>;

  /**
   * Like the global `parallel`, with bounds; a slot that failed is an object with `ok: false`. Stages may follow the functions:
   * each gets what the one before gave.
   */
  function parallel<T>(thunks: (() => T | Promise<T>)[], options?: FanOutOptions): Promise<(T | Failed)[]>;
  function parallel<T = any>(
    thunks: (() => any)[],
    ...stagesAndOptions: (Stage<any, any, any> | FanOutOptions)[]
  ): Promise<(T | Failed)[]>;

  /** Like the global `pipeline`, with bounds; an item that failed is an object with `ok: false`. */
  function pipeline<I, T = any>(
    items: I[],
    ...stagesAndOptions: (Stage<any, I, any> | FanOutOptions)[]
  ): Promise<(T | Failed)[]>;

  /** Asks a person or the client and waits, for days if need be. Never throws. */
  function approve(question: string | {
    /** The question. */
    message: string;
    /** Data to show with it. */
    metadata?: Json;
    /** Who may decide. */
    decider?: "any" | "person";
    /** Milliseconds until the question expires. */
    expiresInMs?: number;
    /** What an expiry counts as; `deny` when absent. */
    onTimeout?: "approve" | "deny";
  }): Promise<{ decision: "approve" | "deny"; by: string; reason: string | null }>;

  /** Uses a tool of the user's configuration; throws when it fails or is denied. */
  function tool<T = any>(name: string, args?: { [key: string]: Json }, options?: {
    /** The mode it is used in. */
    mode?: string;
    /** What people call it; the tool's name when absent. */
    label?: string;
    /** The phase it is shown under. */
    phase?: string;
    /** Milliseconds an attempt may take. */
    timeoutMs?: number;
    /** How failed attempts are tried again. */
    retry?: Retry;
    /** What becomes of it when its process ended while it ran; `ask` when absent. */
    onLost?: "ask" | "rerun" | "fail";
  }): Promise<T>;

  /** Waits; the due time survives a restart. */
  function sleep(ms: number): Promise<void>;

  /** A log line with structure. */
  function log(message: string, fields?: { [key: string]: Json }): void;

  /** Memory private to the run, rebuilt when a run goes on after a restart. */
  const state: { [key: string]: any };

  /** What the run may spend. */
  const budget: {
    readonly tokens: { readonly total: number | null; spent(): number; remaining(): number };
    readonly cost: { readonly total: number | null; spent(): number; remaining(): number };
    readonly calls: { readonly total: number | null; spent(): number; remaining(): number };
    /** Whether so much is left: tokens, or an object; cost in US dollars. */
    canSpend(amount: number | { tokens?: number; cost?: number; calls?: number }): boolean;
    /** Sets so much aside for the script; false when it does not fit. */
    reserve(amount: number | { tokens?: number; cost?: number; calls?: number }): boolean;
  };
}
