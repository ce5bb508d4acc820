/**
 * One cluster in the sidebar: who it is, its panel, and what can be done with it.
 *
 * Every button is a command; the head of the card can be dragged into a notebook.
 */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';
import { Widget } from '@lumino/widgets';

import { attachCode } from './attach';
import { button, element } from './dom';
import { morph } from './morph';
import { Commands, ICluster, IClusters } from './tokens';

/** Pixels the pointer moves before it is a drag. */
const THRESHOLD = 5;
const CELLS = 'application/vnd.jupyter.cells';

type Execute = JupyterFrontEnd['commands'];

export class Card extends Widget {
  constructor(
    private _clusters: IClusters,
    private _commands: Execute,
    private _cluster: ICluster
  ) {
    super();
    this.addClass('nbray-card');
    this.node.dataset.cluster = _cluster.id;
    this.node.setAttribute('role', 'group');
    const act = (command: string) => () =>
      void this._commands.execute(command, { id: this._cluster.id });
    this._head.title = 'Drag into a notebook: a cell that attaches to this cluster';
    this._head.append(this._name, this._about);
    this._head.addEventListener('pointerdown', event => this._grab(event));
    this._less = button('−', 'Take away the node that was added last', act(Commands.remove));
    this._more = button('+', 'Add a node on this machine, with one CPU', act(Commands.add));
    this._stop = button('Stop', 'End this cluster', act(Commands.stop));
    const scale = element('div', 'nbray-scale');
    scale.append(this._less, this._nodes, this._more, this._stop);
    const buttons = element('div', 'nbray-buttons');
    buttons.append(
      button('Attach', 'Insert the attach cell into the active notebook and run it', act(Commands.attach)),
      button('Insert', 'Insert the attach cell into the active notebook', act(Commands.insert)),
      button('Dashboard', 'Tasks, actors, objects and logs, in a tab of its own', act(Commands.dashboard)),
      button('Join line', 'Copy the line by which another machine joins', act(Commands.join))
    );
    this.node.append(this._head, this._panel, this._trouble, scale, buttons);
    this.show_(_cluster);
  }

  /** Show what is known of the cluster now. */
  show_(cluster: ICluster): void {
    this._cluster = cluster;
    const view = this._clusters.view(cluster.id);
    this.node.setAttribute('aria-label', `Cluster at ${cluster.address}`);
    text(this._name, cluster.address);
    text(this._about, [cluster.origin, `Python ${cluster.python}`].filter(Boolean).join(' · '));
    this._about.title = cluster.executable;
    if (view && !view.error) {
      morph(this._panel, view.html);
    }
    const trouble = view ? view.error : 'looking at it…';
    text(this._trouble, trouble);
    this._trouble.hidden = !trouble;
    this._trouble.classList.toggle('nbray-bad', Boolean(view?.error));
    const busy = this._clusters.busy(cluster.id);
    this.node.classList.toggle('nbray-busy', busy);
    this.node.setAttribute('aria-busy', String(busy));
    const here = cluster.added + Number(cluster.head);
    text(this._nodes, busy ? 'working…' : `${here} node${here === 1 ? '' : 's'} here`);
    this._less.disabled = busy || cluster.added === 0;
    this._more.disabled = busy;
    this._stop.disabled = busy;
    text(this._stop, cluster.head ? 'Stop' : 'Leave');
  }

  private _grab(down: PointerEvent): void {
    if (down.button !== 0) {
      return;
    }
    const release = () => {
      document.removeEventListener('pointermove', move, true);
      document.removeEventListener('pointerup', release, true);
    };
    const move = (event: PointerEvent) => {
      const far = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY);
      if (far < THRESHOLD) {
        return;
      }
      release();
      const cell = { cell_type: 'code', metadata: {}, source: attachCode(this._cluster), outputs: [] };
      const mimeData = new MimeData();
      mimeData.setData(CELLS, [cell]);
      mimeData.setData('text/plain', attachCode(this._cluster));
      const image = element('div', 'nbray-drag', `%nbray attach ${this._cluster.address}`);
      const drag = new Drag({ mimeData, dragImage: image, supportedActions: 'copy-move', proposedAction: 'copy', source: this });
      void drag.start(event.clientX, event.clientY).then(() => drag.dispose());
    };
    document.addEventListener('pointermove', move, true);
    document.addEventListener('pointerup', release, true);
  }

  private readonly _head = element('div', 'nbray-card-head');
  private readonly _name = element('div', 'nbray-card-name');
  private readonly _about = element('div', 'nbray-card-about');
  private readonly _panel = element('div', 'nbray-card-panel');
  private readonly _trouble = element('div', 'nbray-card-trouble');
  private readonly _nodes = element('span', 'nbray-count');
  private readonly _less: HTMLButtonElement;
  private readonly _more: HTMLButtonElement;
  private readonly _stop: HTMLButtonElement;
}

function text(node: HTMLElement, value: string): void {
  if (node.textContent !== value) {
    node.textContent = value;
  }
}
