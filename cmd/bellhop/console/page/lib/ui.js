// The parts that views are made of.
import { fill, flat, h, setText, svg, uid } from './dom.js'
import { num, rate, span, utc, when } from './format.js'
import { kinds } from './words.js'

// say tells screen readers, and nobody else.
export const say = (text) => setText(document.getElementById('said'), text)

// btn is a button; cls: primary, danger, quiet.
export const btn = (label, onclick, cls, props) => h(`button${cls ? '.' + cls : ''}`, { type: 'button', onclick, ...props }, label)

// action is a button for what may take a while: it does nothing more until that is done, and says what went wrong. It keeps the
// focus, which a disabled one would lose.
export function action(label, fn, cls, props) {
	const b = btn(label, async () => {
		if (b.ariaBusy) return
		b.ariaBusy = 'true'
		try {
			await fn()
		} catch (err) {
			notice([err.message, err.next].filter(Boolean).join(' '), 'bad')
		}
		b.ariaBusy = null
	}, cls, props)
	return b
}

// notice shows a message for a while; problems stay until they are dismissed.
export function notice(text, kind = 'info') {
	const el = h(`div.notice.${kind}`, h('span', text), btn('Dismiss', () => el.remove(), 'quiet'))
	document.getElementById('notices').append(el)
	if (kind !== 'bad') setTimeout(() => el.remove(), 6000)
}

// link goes to another view; app.js takes the click.
export const link = (href, ...children) => h('a', { href }, ...children)

// time is a moment, with the exact one in its title.
export const time = (iso, millis) => (iso ? h('time', { datetime: iso, title: utc(iso) }, when(iso, millis)) : '–')

// head is a view's first line: where it belongs, its title, a note and what can be done.
export const head = (title, { crumb, note, end } = {}) =>
	h('div.head', h('div', crumb && h('p.crumb', crumb), h('h1', { tabindex: '-1' }, title)), note, h('div.end', end))

// panel is a section with a heading, and something at its right.
export function panel(title, aside, ...children) {
	const id = uid()
	return h('section.panel', { 'aria-labelledby': id }, h('header', h('h2', { id }, title), aside), ...children)
}

const outcomeNames = { delivered: 'Delivered', retrying: 'Retrying', failed: 'Failed', rejected: 'Rejected' }

// badge names a state, by shape and word as well as by colour.
export const badge = (cls, text = outcomeNames[cls] ?? cls) => h(`span.badge.${cls}`, text)

export const hook = (o) => [o.rule, h('span.muted', ' / '), o.webhook]

export const reason = (error) => [h('span.badtext', kinds[error.kind] ?? error.kind), ` ${error.message}`]

// empty is what stands where there is nothing to show.
export const empty = (title, ...more) => h('div.state', h('strong', title), more.length > 0 && h('p', ...more))

// failure is what stands where something could not be shown.
export const failure = (err, again) => h('div.state.bad', { role: 'alert' },
	h('strong', err.status === 0 ? 'No connection to the daemon' : err.title ?? 'Something went wrong'), h('p', err.message, err.next && ` ${err.next}`), again && btn('Try again', again))

// loading takes up the room that the content will, so that nothing jumps when it comes.
export const loading = (lines = 3, what = 'Loading') => h('div.loading', h('span.unseen', what + ' …'), Array.from({ length: lines }, () => h('i')))

// same tells what is the same for people from what only stands in the same place.
const same = (e) => e.tagName + (e.getAttribute('href') ?? e.getAttribute('aria-label') ?? (/^(BUTTON|SUMMARY)$/.test(e.tagName) ? e.textContent : ''))
const alike = (box, e) => [...box.querySelectorAll(e.tagName)].filter((o) => same(o) === same(e))

// redraw fills a box again and throws nobody out: the focus, what is open and how far is scrolled stay, and so does what is
// selected or held down, for as long as it is.
export function redraw(box, ...content) {
	const fresh = flat(content).map((c) => (c instanceof Node ? c : document.createTextNode(c)))
	if (fresh.length === box.childNodes.length && fresh.every((n, i) => n === box.childNodes[i] || n.isEqualNode(box.childNodes[i]))) return
	const chosen = getSelection()
	if (box.drawnAt === location.href && (box.querySelector(':active') || (!chosen.isCollapsed && box.contains(chosen.anchorNode)))) return
	box.drawnAt = location.href
	const at = box.contains(document.activeElement) && document.activeElement
	const [nth, place] = at ? [alike(box, at).indexOf(at), [...box.querySelectorAll(at.tagName)].indexOf(at)] : []
	const open = [...box.querySelectorAll('details > summary')].map((s) => [s, alike(box, s).indexOf(s), s.parentNode.open])
	const moved = [...box.querySelectorAll('.scroll, .tall')].map((e, i) => [i, e.scrollLeft, e.scrollTop]).filter((m) => m[1] || m[2])
	fill(box, ...fresh)
	for (const [s, i, is] of open) {
		const now = alike(box, s)[i]
		if (now) now.parentNode.open = is
	}
	for (const [i, left, top] of moved) box.querySelectorAll('.scroll, .tall')[i]?.scrollTo(left, top)
	if (at) (alike(box, at)[nth] ?? box.querySelectorAll(at.tagName)[place])?.focus({ preventScroll: true })
}

// show fills a box with what make gives, or says why there is nothing, and tries again where that may pass. What was shown stays
// while the daemon is away.
export async function show(box, signal, make) {
	clearTimeout(box.again)
	try {
		const content = await make()
		if (!signal.aborted && content !== undefined) redraw(box, content)
	} catch (err) {
		if (signal.aborted) return
		if (err.status === undefined) console.error(err)
		const again = () => signal.aborted || show(box, signal, make)
		if (err.status === 0 || err.status >= 500) box.again = setTimeout(again, 5000)
		if (err.status !== 0 || box.querySelector('.loading, .state.bad')) redraw(box, failure(err, again))
	}
}

// column reads 'Name.class.class'; a name after ~ is for screen readers alone.
export function column(spec) {
	const [name, ...cls] = spec.split('.')
	return { name: name.replace('~', ''), hidden: name[0] === '~', cls: cls.map((c) => '.' + c).join('') }
}

export const headings = (columns) => h('thead', h('tr', columns.map((c) => h(`th${c.cls}`, { scope: 'col' }, c.hidden ? h('span.unseen', c.name) : c.name))))

// row makes a row; on narrow screens cells carry their column's name.
export const row = (columns, cells, props) => h('tr', props ?? null, cells.map((cell, i) => h(`td${columns[i].cls}`, { 'data-name': columns[i].hidden ? null : columns[i].name }, cell)))

// table makes a table of column specs and rows of cells; caption is for screen readers.
export function table(caption, specs, rows, cls = '') {
	const columns = specs.map(column)
	return h('div.scroll', { tabindex: '0', role: 'region', 'aria-label': caption }, h(`table${cls}`, headings(columns), h('tbody', rows.map((cells) => row(columns, cells)))))
}

// field is a labelled control.
export function field(label, control, hint) {
	const id = (control.id ||= uid())
	const note = hint && h('small', { id: id + '-hint' }, hint)
	if (note) control.setAttribute('aria-describedby', note.id)
	return h('div.field', h('label', { for: id }, label), control, note)
}

export const options = (list) => list.map(([value, text]) => h('option', { value }, text))

export const select = (list, onpick) => h('select', { onchange: (e) => onpick(e.target.value) }, options(list))

// suggest is a text field that offers values.
export function suggest(placeholder, onpick) {
	const id = uid()
	const list = h('datalist', { id })
	const input = h('input', { type: 'text', list: id, placeholder, autocomplete: 'off', spellcheck: 'false', onchange: () => onpick?.(input.value.trim()) })
	document.body.append(list)
	input.offer = (values) => fill(list, values.map((value) => h('option', { value })))
	input.drop = () => list.remove()
	return input
}

// bar shows a part of a whole; the number beside it says the same.
export const bar = (part, all, cls = '') => h(`span.bar${cls}`, { 'aria-hidden': 'true' }, h('i', { style: { width: `${all ? Math.min(100, (100 * part) / all) : 0}%` } }))

// bars is a list of names, counts and bars.
export function bars(items, cls) {
	const most = Math.max(1, ...items.map((i) => i[1]))
	return h('ul.bars', items.map(([name, n]) => h('li', h(n ? 'span' : 'span.muted', name), bar(n, most, cls), h('span.num', num(n)))))
}

// facts is a list of names and values; what has no value is left out.
export const facts = (...pairs) => h('dl.facts', pairs.filter(Boolean).map(([name, ...value]) => h('div', h('dt', name), h('dd', ...value))))

// copyable is a text in monospace with a button that copies it.
export function copyable(text) {
	const b = btn('Copy', async () => {
		await navigator.clipboard?.writeText(text).then(() => (b.textContent = 'Copied'), () => (b.textContent = 'Not allowed'))
		setTimeout(() => (b.textContent = 'Copy'), 1500)
	}, 'quiet', { 'aria-label': `Copy ${text}` })
	return h('span.copyable', h('code', text), b)
}

// until counts down to a time, for as long as it is shown.
export function until(iso, over = 'due now') {
	const el = h('time', { datetime: iso, title: utc(iso) })
	const tick = () => {
		const s = (new Date(iso) - Date.now()) / 1000
		setText(el, s > 0 ? `in ${span(Math.ceil(s))}` : over)
	}
	tick()
	const timer = setInterval(() => (el.isConnected ? tick() : clearInterval(timer)), 1000)
	return el
}

export const errorRate = (c) => h(c.errors ? 'span.badtext' : 'span.muted', rate(c))

// dialog asks; build(close) gives its content. It resolves with what close was called with.
export function dialog(title, build) {
	return new Promise((resolve) => {
		const id = uid()
		const el = h('dialog', { 'aria-labelledby': id, onclose: () => {
			el.remove()
			resolve(el.answer)
		} })
		const close = (answer) => {
			el.answer = answer
			el.close()
		}
		el.append(h('h2', { id }, title), ...build(close))
		document.body.append(el)
		el.showModal()
	})
}

// confirm asks before something is done.
export const confirm = (title, text, label, cls = '') => dialog(title, (close) => [
	h('p', text), h('footer', btn('Back', () => close(false)), btn(label, () => close(true), 'primary' + cls)),
])

// spark draws calls as an area and errors as a line, on one scale.
export function spark(points, label) {
	if (points.length === 1) points = [points[0], points[0]]
	const [width, height, n] = [160, 36, points.length]
	const max = Math.max(1, ...points.map((p) => Math.max(p.calls, p.errors)))
	const path = (key) => points.map((p, i) => `${i ? 'L' : 'M'}${((i * width) / Math.max(1, n - 1)).toFixed(1)} ${(height - 1 - (p[key] / max) * (height - 3)).toFixed(1)}`).join('')
	return svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', class: 'spark', ...(label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' }) },
		n > 0 && svg('path', { class: 'area', d: `${path('calls')}V${height}H0Z` }), svg('path', { d: path('calls') }), points.some((p) => p.errors) && svg('path', { class: 'errors', d: path('errors') }))
}
