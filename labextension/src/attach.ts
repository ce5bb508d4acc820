/**
 * The cell by which a notebook attaches to a cluster: what it says, and putting it in place.
 */

import { INotebookTracker, NotebookActions } from '@jupyterlab/notebook';

import { ICluster } from './tokens';

/** What the cell says; the secret is found on this machine and need not be said. */
export function attachCode(cluster: ICluster): string {
  return `%load_ext nbray\n%nbray attach ${cluster.address}`;
}

/**
 * Put the cell below the active one of the active notebook (or into it, if it is empty), and run it
 * if *run*. Throws an `Error` with a sentence if there is no notebook.
 */
export async function insertAttachCell(
  tracker: INotebookTracker,
  cluster: ICluster,
  run: boolean
): Promise<void> {
  const panel = tracker.currentWidget;
  if (!panel) {
    throw new Error('Open a notebook first: the attach cell goes into the active one.');
  }
  const { content, sessionContext } = panel;
  const active = content.activeCell;
  if (!active || active.model.type !== 'code' || active.model.sharedModel.source.trim()) {
    NotebookActions.insertBelow(content);
  }
  content.activeCell?.model.sharedModel.setSource(attachCode(cluster));
  if (run) {
    await NotebookActions.run(content, sessionContext);
  }
}
