// One rule in force: its webhooks, its counts and its source.
import { every, get } from '../lib/api.js'
import { fill, h } from '../lib/dom.js'
import { ms, num } from '../lib/format.js'
import { badge, empty, errorRate, facts, head, link, loading, panel, show, spark } from '../lib/ui.js'

export function view({ root, params: { name }, signal, title }) {
	title(name)
	const box = h('div.view', loading(10))
	const counts = h('div', loading(3))
	fill(root, head(name, { crumb: link('/rules', 'Rules'), end: [link(`/deliveries?rule=${name}`, 'Its deliveries'), link(`/deliveries?rule=${name}&outcome=errors`, 'Its errors')] }), box)
	show(box, signal, async () => {
		const r = await get(`/rules/${encodeURIComponent(name)}`, null, signal).catch((err) => {
			if (err.status !== 404) throw err
		})
		if (!r) return h('section.panel', empty('No such rule is in force', link('/versions', 'It may be in the history')))
		return [
			r.description && h('p', r.description),
			h('section.panel', { 'aria-label': 'About' }, facts(['On', h('code', r.on.join(', '))], ['State', r.enabled ? badge('ok', 'Enabled') : badge('none', 'Disabled')], ['Comes from', h('code', `${r.file}:${r.line}`)])),
			panel('Last 24 hours', null, counts),
			r.webhooks.map((w) => panel(`Webhook ${w.name}`, h('small', `time-out ${w.timeout}, ${w.retries} retries${w.signed ? ', signed' : ''}`),
				h('p.pad', h('code', `POST ${w.endpoint}`)), w.parameters.length ? h('dl.params', w.parameters.map((p) => h('div', h('dt', p.name), h('dd', p.value)))) : h('p.pad.muted', 'No parameters: the body is empty.'))),
			r.source && panel('Source', h('code.muted', `${r.file}:${r.line}`), h('pre.tall', { tabindex: '0' }, r.source)),
		]
	})
	every(6000, () => show(counts, signal, async () => {
		const w = { by: 'rule', value: name, from: '24h' }
		const [s, l] = await Promise.all([get('/series', { ...w, step: 'hour' }, signal), get('/latency', w, signal)])
		const p = l.percentiles ?? {}
		return [h('dl.quad', [['Calls', num(s.sum.calls)], ['Errors', num(s.sum.errors)], ['Error rate', errorRate(s.sum)], ['Median', ms(p.p50)], ['p95', ms(p.p95)]].map(([k, v]) => h('div', h('dt', k), h('dd', v)))),
			h('div.clip', spark(s.points, 'Calls and errors of the last 24 hours'))]
	}), signal)
}
