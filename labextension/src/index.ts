/**
 * nbray in JupyterLab: several small plugins over one list of clusters.
 */

import { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { commands } from './commands';
import { ClustersModel } from './model';
import { saved } from './saved';
import { sidebar } from './sidebar';
import { status } from './status';
import { IClusters } from './tokens';

const clusters: JupyterFrontEndPlugin<IClusters> = {
  id: 'nbray:clusters',
  description: 'The clusters of nbray on the machine of the Jupyter server.',
  autoStart: true,
  provides: IClusters,
  activate: () => new ClustersModel()
};

export { IClusters } from './tokens';
export default [clusters, sidebar, commands, status, saved];
