/**
 * What the plugins share: the clusters as the server tells of them, and what can be asked for.
 */

import { Token } from '@lumino/coreutils';
import { ISignal } from '@lumino/signaling';

/** A cluster of the user on the server's machine. */
export interface ICluster {
  readonly id: string;
  /** `host:port`, for `%nbray attach`. */
  readonly address: string;
  readonly executable: string;
  readonly python: string;
  /** nbray's. */
  readonly version: string;
  /** Whether its head runs on this machine. */
  readonly head: boolean;
  /** Nodes on this machine beside the head. */
  readonly added: number;
  /** Who started it; '' when it belongs to no process. */
  readonly origin: string;
}

/** How a cluster looks now. */
export interface IView {
  readonly html: string;
  readonly nodes: number;
  /** CPUs that tasks hold. */
  readonly busy: number;
  readonly cpus: number;
  /** Why the rest is missing; '' when it is not. */
  readonly error: string;
}

/** 'waiting' for the first word; 'on'; 'off': see `note`. */
export type State = 'waiting' | 'on' | 'off';

/** The clusters, live, and the requests about them. Each request throws an `Error` with a sentence. */
export interface IClusters {
  readonly changed: ISignal<IClusters, void>;
  readonly state: State;
  /** Why there is no cluster, or no word from the server. */
  readonly note: string;
  readonly clusters: readonly ICluster[];
  /** Whether a cluster is being started just now. */
  readonly starting: boolean;
  view(id: string): IView | undefined;
  /** Whether something is being done to the cluster just now. */
  busy(id: string): boolean;
  /** Start a cluster in the environment of a kernel ('': the server's own). */
  start(kernel: string, cpus: number | null): Promise<string>;
  addNode(id: string): Promise<void>;
  removeNode(id: string): Promise<void>;
  stop(id: string): Promise<void>;
  /** The line by which another machine joins; it holds the cluster's secret. */
  joinLine(id: string): Promise<string>;
  /** Where the cluster's dashboard is, through this Jupyter server. */
  dashboard(id: string): string;
}

export const IClusters = new Token<IClusters>(
  'nbray:IClusters',
  'The clusters of nbray on the machine of the Jupyter server.'
);

/** Ids of the commands, here because buttons, palette and tests use the same ones. */
export namespace Commands {
  export const show = 'nbray:show';
  export const start = 'nbray:start';
  export const attach = 'nbray:attach';
  export const insert = 'nbray:insert';
  export const add = 'nbray:add-node';
  export const remove = 'nbray:remove-node';
  export const stop = 'nbray:stop';
  export const dashboard = 'nbray:open-dashboard';
  export const join = 'nbray:copy-join-line';
}
