/** nbray's sign: a head and two nodes. */

import { LabIcon } from '@jupyterlab/ui-components';

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 16 16">
<g class="jp-icon3" fill="none" stroke="#616161" stroke-width="1.3"><path d="M8 6.2 4.4 10M8 6.2 11.6 10"/></g>
<g class="jp-icon3" fill="#616161"><circle cx="8" cy="4" r="2.4"/><circle cx="3.6" cy="12" r="2.4"/><circle cx="12.4" cy="12" r="2.4"/></g>
</svg>`;

export const nbrayIcon = new LabIcon({ name: 'nbray:nbray', svgstr: SVG });
