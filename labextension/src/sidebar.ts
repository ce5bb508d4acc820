/**
 * The sidebar: a card for each cluster, a way to start one, and why there is none.
 */

import { ILabShell, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker } from '@jupyterlab/notebook';
import { Panel, PanelLayout, Widget } from '@lumino/widgets';

import { Card } from './card';
import { button, element } from './dom';
import { nbrayIcon } from './icon';
import { Commands, IClusters } from './tokens';

export const ID = 'nbray-sidebar';

class Sidebar extends Panel {
  constructor(
    private _clusters: IClusters,
    private _commands: JupyterFrontEnd['commands'],
    private _tracker: INotebookTracker
  ) {
    super();
    this.id = ID;
    this.addClass('nbray-sidebar');
    this.title.icon = nbrayIcon;
    this.title.caption = 'nbray: clusters';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'nbray: clusters');
    const top = new Widget();
    top.addClass('nbray-top');
    this._cpus.type = 'number';
    this._cpus.min = '1';
    this._cpus.placeholder = 'all';
    this._cpus.setAttribute('aria-label', 'CPUs of the new cluster');
    const label = element('label', 'nbray-cpus', 'CPUs ');
    label.append(this._cpus);
    this._start = button('Start a cluster', 'A new cluster on this machine', () => this._new());
    this._start.classList.add('jp-mod-accept');
    const row = element('div', 'nbray-start');
    row.append(this._start, label);
    top.node.append(element('h2', '', 'Clusters'), row, this._where);
    this._empty.addClass('nbray-empty');
    this._empty.node.setAttribute('role', 'status');
    this.addWidget(top);
    this.addWidget(this._empty);
    _clusters.changed.connect(() => this._show());
    const show = () => this._show();
    _tracker.currentChanged.connect(show);
    _tracker.widgetAdded.connect((_, { sessionContext }) => {
      sessionContext.kernelChanged.connect(show);
      sessionContext.statusChanged.connect(show);
    });
    this._show();
  }

  private _new(): void {
    const cpus = this._cpus.valueAsNumber;
    void this._commands.execute(Commands.start, { cpus: Number.isFinite(cpus) ? cpus : null });
  }

  private _show(): void {
    const { clusters, state, starting } = this._clusters;
    this._start.disabled = starting || state !== 'on';
    this._start.textContent = starting ? 'Starting…' : 'Start a cluster';
    const notebook = this._tracker.currentWidget;
    const kernel = notebook?.sessionContext.session?.kernel
      ? ` (${notebook.sessionContext.kernelDisplayName})`
      : '';
    const where = notebook
      ? `in the environment of ${notebook.title.label}${kernel}`
      : "in JupyterLab's own environment; with a notebook open, in the notebook's";
    if (this._where.textContent !== where) {
      this._where.textContent = where;
    }
    this._explain();
    const known = new Map(clusters.map(cluster => [cluster.id, cluster]));
    for (const [id, card] of [...this._cards]) {
      if (!known.has(id)) {
        this._cards.delete(id);
        card.dispose();
      }
    }
    clusters.forEach((cluster, index) => {
      let card = this._cards.get(cluster.id);
      if (!card) {
        card = new Card(this._clusters, this._commands, cluster);
        this._cards.set(cluster.id, card);
      }
      (this.layout as PanelLayout).insertWidget(2 + index, card);
      card.show_(cluster);
    });
  }

  private _explain(): void {
    const { clusters, state, note } = this._clusters;
    this._empty.setHidden(clusters.length > 0);
    const said = state === 'waiting' ? 'Asking the Jupyter server…' : note;
    if (this._said === `${state} ${said}`) {
      return;
    }
    this._said = `${state} ${said}`;
    const lines = [element('p', 'nbray-note', said)];
    if (state === 'on') {
      const hint = element('p');
      hint.append(
        'Start one with the button above, with ', element('code', '', '%nbray start'),
        ' in a notebook, or with ', element('code', '', 'nbray start --head'),
        ' in a terminal. It appears here, whoever started it.'
      );
      lines.push(hint);
    }
    this._empty.node.replaceChildren(...lines);
  }

  private readonly _cards = new Map<string, Card>();
  private readonly _empty = new Widget();
  private readonly _where = element('div', 'nbray-where');
  private readonly _cpus = element('input', 'nbray-cpus-input');
  private readonly _start: HTMLButtonElement;
  private _said = '';
}

export const sidebar: JupyterFrontEndPlugin<void> = {
  id: 'nbray:sidebar',
  description: 'The list of clusters at the left.',
  autoStart: true,
  requires: [IClusters, INotebookTracker],
  optional: [ILabShell],
  activate: (app: JupyterFrontEnd, clusters: IClusters, tracker: INotebookTracker, shell: ILabShell | null) => {
    const widget = new Sidebar(clusters, app.commands, tracker);
    app.shell.add(widget, 'left', { rank: 600, type: 'nbray' });
    app.commands.addCommand(Commands.show, {
      // in a menu, where nothing else says whose they are (schema/sidebar.json)
      label: args => (args.menu ? 'nbray: Show the Clusters' : 'Show the Clusters'),
      icon: nbrayIcon,
      execute: () => (shell ?? app.shell).activateById(ID)
    });
  }
};
