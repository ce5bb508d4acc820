/**
 * The clusters as the Jupyter server tells of them.
 *
 * Owns the socket, coming back after it is lost, and the requests. It listens while the page is in
 * sight: hidden pages cost the server nothing.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { ISignal, Signal } from '@lumino/signaling';

import { ICluster, IClusters, IView, State } from './tokens';

/** Milliseconds before the first try to come back, doubled up to the last. */
const FIRST = 500;
const LAST = 8000;

const MISSING =
  "This Jupyter server does not serve nbray: run `nbray doctor` in a terminal of the server's " +
  'environment, then restart the server.';
const STRANGE =
  'Something else than nbray answers at its address on this Jupyter server: run `nbray doctor` in a ' +
  "terminal of the server's environment.";
const LOST = 'No connection to the Jupyter server; trying again.';

/** Where the server's part answers, below the server's address. */
const API = 'api/nbray';

type Told =
  | { kind: 'clusters'; clusters: ICluster[]; note: string }
  | ({ kind: 'view'; id: string } & IView);

/** What the server's part has said; undefined if it was not that which spoke. */
function understood(data: unknown): Told | undefined {
  try {
    const told = JSON.parse(data as string);
    return typeof told.kind === 'string' ? (told as Told) : undefined;
  } catch {
    return undefined;
  }
}

export class ClustersModel implements IClusters {
  constructor() {
    document.addEventListener('visibilitychange', () => this._attend());
    this._connect();
  }

  get changed(): ISignal<IClusters, void> {
    return this._changed;
  }
  get state(): State {
    return this._state;
  }
  get note(): string {
    return this._note;
  }
  get clusters(): readonly ICluster[] {
    return this._clusters;
  }
  get starting(): boolean {
    return this._starting > 0;
  }

  view(id: string): IView | undefined {
    return this._views.get(id);
  }

  busy(id: string): boolean {
    return this._busy.has(id);
  }

  async start(kernel: string, cpus: number | null): Promise<string> {
    this._starting += 1;
    this._changed.emit();
    try {
      const answer = await this._ask('POST', 'clusters', { kernel, cpus });
      return answer.address as string;
    } finally {
      this._starting -= 1;
      this._changed.emit();
    }
  }

  async addNode(id: string): Promise<void> {
    await this._about(id, () => this._ask('POST', `clusters/${id}/nodes`, {}));
  }

  async removeNode(id: string): Promise<void> {
    await this._about(id, () => this._ask('DELETE', `clusters/${id}/nodes`));
  }

  async stop(id: string): Promise<void> {
    await this._about(id, () => this._ask('DELETE', `clusters/${id}`));
  }

  async joinLine(id: string): Promise<string> {
    return (await this._ask('POST', `clusters/${id}/join`, {})).line as string;
  }

  dashboard(id: string): string {
    return URLExt.join(this._settings.baseUrl, 'nbray-dashboard', id) + '/';
  }

  private async _about(id: string, work: () => Promise<unknown>): Promise<void> {
    this._busy.set(id, (this._busy.get(id) ?? 0) + 1);
    this._changed.emit();
    try {
      await work();
    } finally {
      const left = (this._busy.get(id) ?? 1) - 1;
      if (left) {
        this._busy.set(id, left);
      } else {
        this._busy.delete(id);
      }
      this._changed.emit();
    }
  }

  private async _ask(method: string, path: string, body?: object): Promise<any> {
    const url = URLExt.join(this._settings.baseUrl, API, path);
    const init: RequestInit = { method };
    if (body) {
      init.body = JSON.stringify(body);
    }
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, init, this._settings);
    } catch {
      throw new Error('The Jupyter server does not answer.');
    }
    const text = await response.text();
    let answer: any = {};
    try {
      answer = text ? JSON.parse(text) : {};
    } catch {
      // not ours: a proxy's page
    }
    if (!response.ok) {
      throw new Error(
        response.status === 404 || response.status === 405 ? MISSING : answer.message || `The server answered ${response.status}.`
      );
    }
    return answer;
  }

  private _connect(): void {
    const { wsUrl, token, appendToken, WebSocket } = this._settings;
    let url = URLExt.join(wsUrl, API, 'events');
    if (appendToken && token) {
      url += `?token=${encodeURIComponent(token)}`;
    }
    const socket = (this._socket = new WebSocket(url));
    socket.onopen = () => this._attend();
    socket.onmessage = event => {
      const told = understood(event.data);
      if (!told) {
        socket.close(); // not ours; `onclose` comes back later, and ever later
        return;
      }
      this._pause = FIRST; // not when it opens: whoever answers there may hang up at once
      this._take(told);
    };
    socket.onclose = () => void this._lost();
  }

  private _attend(): void {
    if (this._socket.readyState === 1) {
      this._socket.send(document.hidden ? 'rest' : 'look');
    }
  }

  private _take(told: Told): void {
    if (told.kind === 'clusters') {
      this._clusters = told.clusters;
      this._note = told.note;
      this._state = 'on';
      const known = new Set(told.clusters.map(cluster => cluster.id));
      for (const id of [...this._views.keys()]) {
        if (!known.has(id)) {
          this._views.delete(id);
        }
      }
    } else if (told.kind === 'view') {
      this._views.set(told.id, told);
    }
    this._changed.emit();
  }

  private async _lost(): Promise<void> {
    const pause = this._pause;
    this._pause = Math.min(pause * 2, LAST);
    window.setTimeout(() => this._connect(), pause);
    try {
      const answer = await this._ask('GET', 'clusters');
      if (Array.isArray(answer.clusters)) {
        return; // it was only the socket
      }
      this._note = STRANGE;
    } catch (error) {
      this._note = (error as Error).message === MISSING ? MISSING : LOST;
    }
    this._state = 'off';
    this._clusters = [];
    this._views.clear();
    this._changed.emit();
  }

  private readonly _settings = ServerConnection.makeSettings();
  private readonly _changed = new Signal<IClusters, void>(this);
  private readonly _views = new Map<string, IView>();
  private readonly _busy = new Map<string, number>();
  private _clusters: readonly ICluster[] = [];
  private _state: State = 'waiting';
  private _note = '';
  private _starting = 0;
  private _pause = FIRST;
  private _socket!: WebSocket;
}
