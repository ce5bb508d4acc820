/**
 * What a saved notebook shows once its kernel is gone: the last state, not a widget that is no more.
 *
 * JupyterLab prefers a widget to the HTML beside it, also where the widget's kernel ended long ago,
 * and says "Error displaying widget: model not found"; when a kernel restarts, it strews what it has
 * shown with broken links. Outputs of nbray always hold the HTML too.
 */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';

const VIEW = 'application/vnd.jupyter.widget-view+json';
const TARGET = 'jupyter.widget';
/** In these states of a kernel its widgets are no more. */
const ENDED = new Set(['restarting', 'autorestarting', 'terminating', 'dead']);

type Data = { [mime: string]: unknown };

/** Of a code cell's outputs, what is used here. */
export interface IOutputs {
  readonly length: number;
  get(index: number): { readonly data: Data; toJSON(): object };
  set(index: number, output: object): void;
}

/** The widget that an output of nbray stands for; '' if it is none. */
export function modelOf(data: Data): string {
  const html = data['text/html'];
  const view = data[VIEW] as { model_id?: string } | undefined;
  return view && typeof html === 'string' && html.includes('class="nbray') ? view.model_id ?? '' : '';
}

/** The widgets that the kernel of *panel* knows; null if it cannot say. */
async function known(panel: NotebookPanel): Promise<Set<string> | null> {
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) {
    return new Set();
  }
  const reply = await kernel.requestCommInfo({ target_name: TARGET });
  return reply.content.status === 'ok' ? new Set(Object.keys(reply.content.comms)) : null;
}

/** The outputs of all code cells that have any. */
function areas(panel: NotebookPanel): IOutputs[] {
  return [...(panel.content.model?.cells ?? [])]
    .filter(cell => cell.type === 'code')
    .map(cell => (cell as unknown as { outputs: IOutputs }).outputs);
}

/** Those of *outputs* that are widgets of nbray: their places and models. */
export function widgets(outputs: IOutputs): [number, string][] {
  const found: [number, string][] = [];
  for (let index = 0; index < outputs.length; index++) {
    const model = modelOf(outputs.get(index).data);
    if (model) {
      found.push([index, model]);
    }
  }
  return found;
}

/** A panel's HTML, marked as what was seen last: nobody knows what runs there now. */
export function lastSeen(html: string): string {
  return html
    .replace('nbray-dot-ok', 'nbray-dot-off')
    .replace(/<div class="nbray-head">.*?<\/b>(?!\s*<span>(?:stopped|as last seen)<)/s, '$&\n<span>as last seen</span>');
}

/** Leave HTML and text where *outputs* stand for widgets that are not among *alive*. */
export function rest(outputs: IOutputs, alive: Set<string>): void {
  for (const [index, model] of widgets(outputs)) {
    if (!alive.has(model)) {
      const output = outputs.get(index);
      const data = Object.fromEntries(Object.entries(output.data).filter(([mime]) => mime !== VIEW));
      data['text/html'] = lastSeen(String(data['text/html']));
      outputs.set(index, { ...output.toJSON(), data });
    }
  }
}

async function look(panel: NotebookPanel): Promise<void> {
  await panel.context.ready;
  await panel.sessionContext.ready;
  if (!areas(panel).some(outputs => widgets(outputs).length)) {
    return;
  }
  const alive = await known(panel);
  if (alive) {
    leave(panel, alive);
  }
}

/** Leave of all outputs in *panel* what `rest` does. */
function leave(panel: NotebookPanel, alive: Set<string>): void {
  const model = panel.context.model;
  const dirty = model.dirty;
  areas(panel).forEach(outputs => rest(outputs, alive));
  model.dirty = dirty; // the user has changed nothing
}

export const saved: JupyterFrontEndPlugin<void> = {
  id: 'nbray:saved',
  description: 'Shows the last state of panels and bars whose kernel is gone.',
  autoStart: true,
  requires: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, notebooks: INotebookTracker) => {
    const follow = (panel: NotebookPanel) => {
      look(panel).catch(reason => console.warn('nbray: saved outputs stay as they are:', reason));
      panel.sessionContext.statusChanged.connect((_, status) => {
        if (ENDED.has(status) && !panel.isDisposed) {
          leave(panel, new Set());
        }
      });
    };
    notebooks.forEach(follow); // those that were there before this plugin
    notebooks.widgetAdded.connect((_, panel) => follow(panel));
  }
};
