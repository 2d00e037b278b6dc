// The rules in force, where they come from, and what is wrong with their files as they are now.
import { every, get } from '../lib/api.js'
import { fill, h } from '../lib/dom.js'
import { num, plural } from '../lib/format.js'
import { badge, empty, errorRate, head, link, loading, panel, show, table, time } from '../lib/ui.js'

// problems shows findings where they are.
function problems(list) {
	const bad = list.filter((p) => p.severity === 'error').length
	return list.length > 0 && panel(
		h('span', { class: bad ? 'badtext' : 'warntext' }, bad ? `The files have ${plural(bad, 'error')}: the rules below stay in force` : `The files have ${plural(list.length, 'warning')}`), null,
		h('ul.findings', list.map((p) => h('li', badge(p.severity === 'error' ? 'bad' : 'warn', p.severity), h('div', h('code', `${p.file}:${p.line}:${p.column}`), p.path && h('code.muted', ` ${p.path}`), h('div', p.text))))))
}

export function view({ root, signal, title }) {
	title('Rules')
	const version = h('span.muted')
	const wrong = h('div')
	const place = h('div', loading(8))
	fill(root, head('Rules', { note: version, end: [link('/versions', 'History'), link('/try', 'Try an event')] }), wrong, panel('In force', h('small', 'Calls and errors of the last 24 hours'), place))
	every(5000, () => show(place, signal, async () => {
		const [r, counts] = await Promise.all([get('/rules', null, signal), get('/breakdown', { by: 'rule', from: '24h', limit: 1000 }, signal)])
		const of = new Map(counts.items.map((i) => [i.value, i]))
		fill(version, r.version && [`Version ${r.version.number}, `, h('code', r.version.digest), ', since ', time(r.version.at)])
		fill(wrong, problems(r.problems ?? []))
		if (!r.rules.length) return empty('No rules are in force', 'Put a YAML file into the folder that the daemon’s rules name: it is in force within two seconds.')
		return table('Rules in force', ['Rule.wide', 'On', 'Webhooks', 'Comes from.wide', 'Calls.num', 'Errors.num', 'Error rate.num'], r.rules.map((x) => {
			const c = of.get(x.name) ?? { calls: 0, errors: 0 }
			return [[link(`/rules/${x.name}`, x.name), ' ', !x.enabled && badge('none', 'Disabled'), h('span.sub', x.description)], h('code', x.on.join(', ')),
				x.webhooks.map((w) => w.name).join(', '), h('code.muted', `${x.file}:${x.line}`), num(c.calls), num(c.errors), errorRate(c)]
		}), '.cards.hover')
	}), signal)
}
