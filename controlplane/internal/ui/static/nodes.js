// The nodes: how far each has come, and how fast changes reach them all.

import { h } from './element.js';
import { call, now } from './rpc.js';
import { house } from './house.js';
import { clock, count, duration, none } from './format.js';
import { badge, nodeStanding } from './standing.js';
import { facts, heading, panel, table, whole, why } from './parts.js';

export const title = () => 'Nodes';

let convergence = [];

// question asks how far each of the latest revisions has come.
export const question = () => async () => {
  convergence = (await call('NodeService/GetConvergence')).recent ?? [];
};

export function view() {
  const { standing } = house;
  const live = house.nodes.filter((node) => node.live);
  return [
    heading('Nodes'),
    h('section', { class: 'panel', 'aria-label': 'The control plane' }, facts([
      ['Catalog revision', h('code', {}, String(house.revision))], ['Nodes live', count(live.length)], ['In step', `${count(live.filter((node) => !Number(node.drift ?? 0)).length)} of ${count(live.length)}`],
      ['Answers here', `${standing.control_plane}${standing.leading ? ' (leads)' : ''}`], ['Leader', standing.leader], ['Version', standing.version],
      ['Trouble', standing.trouble?.length ? h('ul', { class: 'plain' }, standing.trouble.map((line) => h('li', {}, line))) : null],
    ])),
    regions(),
    panel('All nodes', table('All nodes', ['Node', 'State', 'Why', 'Region', 'Revision', 'Drift|n', 'Staleness|n', 'In flight|n', 'Table from', 'Up for|n', 'Address'], byNeed(house.nodes).map(row), 'No node has been heard yet.')),
    panel('How fast revisions spread', table('Convergence', ['Revision', 'Published', 'Applied|n', 'Refused|n', 'Last node after|n'], [...convergence].reverse().slice(0, 20).map((one) => ({
      key: String(one.configRevision),
      cells: [h('code', {}, String(one.configRevision)), clock(Number(one.publishedUnixMs)), `${one.acked ?? 0} of ${one.nodes ?? 0}`, count(one.nacked ?? 0), one.acked ? duration(Number(one.lastAckUs ?? 0) / 1000) : none],
    })), 'No revision has been published since this control plane began.')),
  ].filter(Boolean);
}

// byNeed sorts nodes: those that need somebody first, then by region and name.
function byNeed(nodes) {
  return [...nodes].sort((a, b) => nodeStanding(b).rank - nodeStanding(a).rank || (a.heartbeat.region ?? '').localeCompare(b.heartbeat.region ?? '') || a.heartbeat.node.localeCompare(b.heartbeat.node));
}

// regions sums the nodes up, where there is more than one region.
function regions() {
  const all = [...Map.groupBy(house.nodes, ({ heartbeat }) => heartbeat.region ?? none)].sort(([a], [b]) => a.localeCompare(b));
  if (all.length < 2) return null;
  return panel('Regions', table('Regions', ['Region', 'Nodes live', 'In step|n', 'In flight|n', 'Worst'], all.map(([region, nodes]) => ({ key: region, cells: [
    region, `${count(nodes.filter(({ live }) => live).length)} of ${count(nodes.length)}`, count(nodes.filter((node) => nodeStanding(node).level === 'good').length),
    count(nodes.reduce((sum, { heartbeat }) => sum + (heartbeat.inFlight ?? 0), 0)), badge(nodeStanding(byNeed(nodes)[0])),
  ] }))));
}

function row(node) {
  const { heartbeat } = node;
  const standing = nodeStanding(node);
  return { key: heartbeat.node, cells: [
    heartbeat.node, badge(standing), why(standing.why), whole(heartbeat.region ?? none), h('code', {}, String(heartbeat.applied?.configRevision ?? none)),
    count(Number(node.drift ?? 0)), duration(heartbeat.stalenessMs ?? 0), count(heartbeat.inFlight ?? 0), heartbeat.source ?? none,
    duration(now() - Number(heartbeat.startedUnixMs)), h('span', { title: heartbeat.version }, heartbeat.address ?? none),
  ] };
}
