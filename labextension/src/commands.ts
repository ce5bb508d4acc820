/**
 * What can be done with clusters, as commands: the sidebar's buttons and the palette use them.
 */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Clipboard, Dialog, ICommandPalette, InputDialog, Notification, showDialog } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { insertAttachCell } from './attach';
import { Commands, ICluster, IClusters } from './tokens';

/** The cluster that the arguments name, the only one there is, or the one the user picks. */
async function pick(clusters: IClusters, id: unknown): Promise<ICluster | undefined> {
  const all = clusters.clusters;
  if (typeof id === 'string') {
    return all.find(cluster => cluster.id === id);
  }
  if (all.length < 2) {
    if (!all.length) {
      throw new Error(clusters.note || 'No cluster is running.');
    }
    return all[0];
  }
  const items = all.map(({ address, origin }) => (origin ? `${address} · ${origin}` : address));
  const { value } = await InputDialog.getItem({ title: 'Which cluster?', items });
  return all[items.indexOf(value ?? '')];
}

async function confirmed(cluster: ICluster): Promise<boolean> {
  const own = cluster.head ? '' : ' The rest of the cluster goes on elsewhere.';
  const { button } = await showDialog({
    title: cluster.head ? `Stop the cluster at ${cluster.address}?` : `Leave the cluster at ${cluster.address}?`,
    body: `Work that runs ${cluster.head ? 'on it' : 'on this machine'} is lost.${own}`,
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: cluster.head ? 'Stop' : 'Leave' })],
    defaultButton: 0 // Return must not end anything
  });
  return button.accept;
}

export const commands: JupyterFrontEndPlugin<void> = {
  id: 'nbray:commands',
  description: 'Start, attach, scale and stop clusters; in the palette, too.',
  autoStart: true,
  requires: [IClusters, INotebookTracker],
  optional: [ICommandPalette],
  activate: (app: JupyterFrontEnd, clusters: IClusters, tracker: INotebookTracker, palette: ICommandPalette | null) => {
    const add = (
      id: string,
      label: string,
      caption: string,
      work: (args: ReadonlyPartialJSONObject) => Promise<void>
    ) => {
      app.commands.addCommand(id, {
        label,
        caption,
        describedBy: { args: { type: 'object', properties: { id: { type: 'string' } } } },
        execute: async args => {
          try {
            await work(args);
          } catch (error) {
            Notification.error(`nbray: ${(error as Error).message}`, { autoClose: 10000 });
          }
        }
      });
      palette?.addItem({ command: id, category: 'nbray' });
    };
    const about = (work: (cluster: ICluster) => Promise<void>) => async (args: ReadonlyPartialJSONObject) => {
      const cluster = await pick(clusters, args.id);
      if (cluster) {
        await work(cluster);
      }
    };

    add(Commands.start, 'Start a Cluster', "In the active notebook's own environment", async args => {
      const context = tracker.currentWidget?.sessionContext;
      await context?.ready; // a notebook that is just being opened has no kernel yet
      const kernel = context?.session?.kernel?.id ?? '';
      await clusters.start(kernel, typeof args.cpus === 'number' ? args.cpus : null);
    });
    add(Commands.attach, 'Attach the Notebook to a Cluster', 'Insert the attach cell and run it',
      about(cluster => insertAttachCell(tracker, cluster, true)));
    add(Commands.insert, 'Insert the Attach Cell', 'The cell that attaches the notebook to a cluster',
      about(cluster => insertAttachCell(tracker, cluster, false)));
    add(Commands.add, 'Add a Node on This Machine', 'With one CPU', about(({ id }) => clusters.addNode(id)));
    add(Commands.remove, 'Take a Node Away', 'The one that was added last on this machine',
      about(({ id }) => clusters.removeNode(id)));
    add(Commands.dashboard, 'Open the Dashboard', 'Tasks, actors, objects and logs of a cluster, in a tab of its own',
      about(async ({ id }) => {
        window.open(clusters.dashboard(id), '_blank', 'noopener');
      }));
    add(Commands.join, 'Copy the Line for Another Machine', "It holds the cluster's secret",
      about(async ({ id }) => {
        Clipboard.copyToSystem(await clusters.joinLine(id));
        Notification.info("nbray: copied. Paste it on the other machine; it holds the cluster's secret.", { autoClose: 6000 });
      }));
    add(Commands.stop, 'Stop a Cluster', 'End all of it that runs on this machine',
      about(async cluster => {
        if (await confirmed(cluster)) {
          await clusters.stop(cluster.id);
        }
      }));
    palette?.addItem({ command: Commands.show, category: 'nbray' });
  }
};
