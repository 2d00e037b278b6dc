// Every accepted set of rules, and what changed between two.
import { get, post, query as address } from '../lib/api.js'
import { fill, h } from '../lib/dom.js'
import { read } from '../lib/filters.js'
import { plural, when } from '../lib/format.js'
import { action, badge, confirm, empty, field, head, loading, notice, options, panel, select, show, table, time } from '../lib/ui.js'

export function view({ root, query, signal, title, session, go }) {
	title('History of the rules')
	let asked = {}
	const list = h('div', loading(6))
	const changed = h('div', loading(6))
	const between = h('small')
	const base = select([], (v) => go('/versions' + address({ ...asked, from: v })))
	fill(root, head('History of the rules'), h('div.cols', h('div.c5', panel('Versions', null, list)), h('div.c7', panel('What changed', between, h('div.pad', field('Compared with', base)), changed))))

	const back = (n) => action('Put back', async () => {
		if (!(await confirm(`Put version ${n} back in force?`, 'On this daemon, until its rule files next change. It survives a restart.', 'Put back', '.danger'))) return
		const now = await post('/rules/rollback', { version: String(n) })
		notice(`Version ${n} is in force again, as version ${now.number}.`, 'ok')
		go('/versions')
	}, '', { 'aria-label': `Put back version ${n}` })
	const take = (q) => {
		asked = read(q, ['from', 'to'])
		show(list, signal, async () => {
			const { items } = await get('/versions', null, signal)
			if (!items.length) return empty('No version yet')
			fill(base, options([['', 'The version before it'], ...items.map((v) => [String(v.number), `Version ${v.number}, in force from ${when(v.at)}`])]))
			base.value = asked.from ?? ''
			const chosen = items.find((v) => (asked.to ? String(v.number) === asked.to || v.digest === asked.to : v.current))
			return table('Versions, newest first', ['Version', 'In force from', 'Holds', '~Do.num'], items.map((v) => [
				h('a', { href: '/versions' + address({ from: asked.from, to: v.number }), title: v.digest, 'aria-current': v === chosen ? 'true' : null }, `Version ${v.number}`),
				[time(v.at), h('span.sub', v.of ? `version ${v.of} put back` : v.origin)], [plural(v.rules, 'rule'), h('span.sub', plural(v.webhooks, 'webhook'))],
				v.current ? badge('ok', 'In force') : session.can_write && back(v.number),
			]), '.hover')
		})
		show(changed, signal, async () => {
			const d = await get('/versions/diff', asked, signal)
			fill(between, d.from ? `from version ${d.from} to version ${d.to}` : `version ${d.to}, the first`)
			return d.files.length ? d.files.map((f) => [h('h3.file', h('code', f.path)), h('pre.diff', { tabindex: '0' }, lines(f.diff))]) : empty('Nothing differs')
		})
	}
	take(query)
	return take
}

// lines marks what a unified diff adds and takes away; the sign at the front stays.
function lines(text) {
	return text.trimEnd().split('\n').filter((l) => !/^(---|\+\+\+) /.test(l)).map((l) => h({ '+': 'ins', '-': 'del', '@': 'span.muted' }[l[0]] ?? 'span', l + '\n'))
}
