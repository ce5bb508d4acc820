/** The status bar's item: nodes, and how many CPUs are busy. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Widget } from '@lumino/widgets';

import { element } from './dom';
import { nbrayIcon } from './icon';
import { Commands, IClusters } from './tokens';

const brief = (value: number) => String(Math.round(value * 10) / 10);

/** '3 nodes · 1 of 4 CPUs busy'; of several '2 clusters · 3 of 6 CPUs busy'; '' while nothing is known. */
export function summary(clusters: IClusters): string {
  const views = clusters.clusters.map(cluster => clusters.view(cluster.id)).filter(view => view && !view.error);
  if (!views.length) {
    return '';
  }
  const sum = (key: 'nodes' | 'busy' | 'cpus') => views.reduce((all, view) => all + view![key], 0);
  const [nodes, cpus] = [sum('nodes'), sum('cpus')];
  const what = views.length > 1 ? `${views.length} clusters` : `${nodes} node${nodes === 1 ? '' : 's'}`;
  return `${what} · ${brief(sum('busy'))} of ${brief(cpus)} CPU${cpus === 1 ? '' : 's'} busy`;
}

export const status: JupyterFrontEndPlugin<void> = {
  id: 'nbray:status',
  description: 'Nodes and busy CPUs in the status bar.',
  autoStart: true,
  requires: [IClusters],
  optional: [IStatusBar],
  activate: (app: JupyterFrontEnd, clusters: IClusters, bar: IStatusBar | null) => {
    if (!bar) {
      return;
    }
    const item = new Widget({ node: element('button', 'nbray-status') });
    const words = element('span');
    item.node.title = 'nbray: show the clusters';
    item.node.append(nbrayIcon.element({ tag: 'span', className: 'nbray-status-icon', height: '14px', width: '14px' }), words);
    item.node.addEventListener('click', () => void app.commands.execute(Commands.show));
    const show = () => {
      words.textContent = summary(clusters);
    };
    clusters.changed.connect(show);
    show();
    bar.registerStatusItem('nbray:status', {
      item,
      align: 'left',
      rank: 50,
      isActive: () => summary(clusters) !== '', // hidden while there is nothing to say
      activeStateChanged: clusters.changed
    });
  }
};
