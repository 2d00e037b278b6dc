// The frame: navigation, theme, sign-in, connection, and which view is shown.
import { del, events, every, get, Problem, unreachable } from './lib/api.js'
import { fill, h, setText, svg } from './lib/dom.js'
import { btn, failure, say } from './lib/ui.js'

const views = [
	['/', 'Overview', () => import('./views/overview.js')],
	['/deliveries', 'Deliveries', () => import('./views/deliveries.js')],
	['/deliveries/:id', '', () => import('./views/delivery.js')],
	['/pending', 'Pending', () => import('./views/pending.js')],
	['/rules', 'Rules', () => import('./views/rules.js')],
	['/rules/:name', '', () => import('./views/rule.js')],
	['/versions', 'History', () => import('./views/versions.js')],
	['/endpoints', 'Endpoints', () => import('./views/endpoints.js')],
	['/try', 'Try', () => import('./views/try.js')],
]

const main = document.getElementById('main')
export const session = { role: 'none', can_write: false, token_required: true }
let current = null // {module, ac, path, update}

function match(path) {
	for (const [pattern, , load] of views) {
		const want = pattern.split('/')
		const got = path.split('/')
		if (want.length !== got.length) continue
		const params = {}
		if (want.every((w, i) => (w.startsWith(':') ? (params[w.slice(1)] = decodeURIComponent(got[i])) : w === got[i]))) return { load, params, pattern }
	}
	return null
}

// go shows another view, or the same one with another query. replace leaves no entry in the browser's history.
export function go(href, { replace = false } = {}) {
	history[replace ? 'replaceState' : 'pushState'](null, '', href)
	show(false)
}

async function show(first) {
	const url = new URL(location.href)
	const found = match(url.pathname)
	for (const a of document.querySelectorAll('#nav a')) {
		const at = new URL(a.href).pathname
		const here = at === '/' ? url.pathname === '/' : url.pathname === at || url.pathname.startsWith(at + '/')
		here ? a.setAttribute('aria-current', 'page') : a.removeAttribute('aria-current')
		// On a narrow screen the list of pages scrolls by itself.
		if (here) a.parentNode.scrollLeft = a.offsetLeft - a.parentNode.offsetLeft - (a.parentNode.clientWidth - a.offsetWidth) / 2
	}
	// The same view with another query keeps its elements, and with them the focus.
	if (current?.update && current.path === url.pathname) {
		current.update(url.searchParams)
		return
	}
	current?.ac.abort()
	const ac = new AbortController()
	const mine = (current = { ac, path: url.pathname })
	if (!found) {
		fill(main, h('h1', { tabindex: '-1' }, 'There is nothing here'), h('p', 'Go to the ', h('a', { href: '/' }, 'overview'), '.'))
		document.title = 'Not found · Bellhop'
		return
	}
	if (session.role === 'none' || session.role === 'widget') {
		await signIn(ac)
		return
	}
	try {
		const module = await found.load().catch(lost)
		if (current !== mine) return
		const root = h('div.view')
		const title = (text) => (document.title = `${text} · Bellhop`)
		mine.update = module.view({ root, params: found.params, query: url.searchParams, signal: ac.signal, title, session, go })
		fill(main, root)
	} catch (err) {
		if (current === mine) {
			mine.lost = err.status === 0
			fill(main, failure(err, () => get('/session').then(() => location.reload(), () => {})))
		}
		return
	}
	if (!first) {
		// As a page that was loaded would: at the top, and read out from its heading.
		window.scrollTo(0, 0)
		main.querySelector('h1')?.focus({ preventScroll: true })
		say(document.title)
	}
}

// lost says why a part of the page did not come: a browser only knows that it did not.
function lost() {
	unreachable()
	throw new Problem(0, 'No connection', 'This page could not be loaded. It comes by itself once the daemon answers.')
}

async function signIn(ac) {
	const { view } = await import('./views/signin.js')
	const root = h('div.view')
	view({ root, signal: ac.signal, role: session.role, done: begin })
	fill(main, root)
	document.title = 'Sign in · Bellhop'
}

document.addEventListener('click', (e) => {
	const a = e.target.closest?.('a[href]')
	if (!a || e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target) return
	const to = new URL(a.href)
	if (to.origin !== location.origin || !match(to.pathname) || to.hash) return
	e.preventDefault()
	if (to.href !== location.href) go(to.href)
})
window.addEventListener('popstate', () => show(false))

// The header.

const state = h('span.daemon', { role: 'status' })
const account = h('span.account')
const banner = h('div.banner', { role: 'alert', hidden: true })

const themes = [['', 'System theme'], ['light', 'Light theme'], ['dark', 'Dark theme']]

function themeSwitch() {
	const pick = h('select.theme', { 'aria-label': 'Theme' }, themes.map(([v, text]) => h('option', { value: v }, text)))
	pick.value = document.documentElement.dataset.theme ?? ''
	pick.addEventListener('change', () => {
		const theme = pick.value
		theme ? (document.documentElement.dataset.theme = theme) : delete document.documentElement.dataset.theme
		try {
			theme ? localStorage.setItem('bellhop-theme', theme) : localStorage.removeItem('bellhop-theme')
		} catch {
			// It holds for this page, then.
		}
		document.dispatchEvent(new Event('theme'))
	})
	matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => document.dispatchEvent(new Event('theme')))
	return pick
}

function bell() {
	return svg('svg', { viewBox: '0 0 24 24', class: 'bell', 'aria-hidden': 'true' },
		svg('path', { d: 'M3 18a9 9 0 0 1 18 0z' }), svg('path', { class: 'dim', d: 'M2 19h20v2.5H2zM10.5 5h3v3.2h-3z' }), svg('path', { d: 'M9 3.5h6v2H9z' }))
}

function header() {
	fill(document.getElementById('top'),
		h('div.topbar', h('a.brand', { href: '/' }, bell(), 'Bellhop'),
			h('nav', { id: 'nav', 'aria-label': 'Main' }, views.filter((v) => v[1]).map(([href, name]) => h('a', { href }, name))),
			h('div.end', state, account, themeSwitch())),
		banner)
}

function drawAccount() {
	fill(account, session.token_required && session.role !== 'none' && [
		h('span.role', session.can_write ? 'Operator' : 'Read only'),
		btn('Sign out', async () => {
			await del('/session').catch(() => {})
			location.assign('/')
		}, 'quiet'),
	])
}

// The banner says what is wrong with the daemon as a whole; what is shown below it stays.
function warn(text, kind) {
	banner.hidden = !text
	banner.className = `banner ${kind}`
	setText(banner, text)
}

let node = ''
const drawDaemon = (cls, text) => fill(state, h(`i.dot${cls}`, { 'aria-hidden': 'true' }), h('span', node), h('span.unseen', ` ${text}`))

let away = false
events.addEventListener('offline', () => {
	away = true
	document.body.classList.add('away')
	drawDaemon('', 'does not answer')
	warn('No connection to the daemon. What you see is as it was; trying again …', 'bad')
})
events.addEventListener('online', () => {
	away = false
	if (current?.lost) location.reload()
	document.body.classList.remove('away')
	warn('')
})
events.addEventListener('signedout', () => {
	if (session.role === 'none') return
	Object.assign(session, { role: 'none', can_write: false })
	drawAccount()
	current = { ...current, path: '' }
	show(false)
})

async function watchDaemon() {
	if (session.role === 'none' || session.role === 'widget') {
		if (away) await get('/session')
		return
	}
	const s = await get('/status').catch(() => null)
	if (!s) return
	node = s.node
	drawDaemon(s.ready ? '.ok' : '.bad', s.ready ? 'is ready' : 'is not ready')
	state.title = `${s.node}, version ${s.version}`
	warn(s.ready ? '' : `This daemon is not consuming events: ${s.reason || 'it does not say why'}.`, 'warn')
}

// begin asks who is looking, and shows what the address says.
async function begin() {
	try {
		Object.assign(session, await get('/session'))
	} catch (err) {
		fill(main, failure(err, begin))
		return
	}
	drawAccount()
	current?.ac.abort()
	current = null
	await show(true)
	poke()
	// The other views are there before anybody wants them, and while the daemon is away.
	setTimeout(() => views.forEach(([, , load]) => load().catch(() => {})), 1000)
}

header()
match(location.pathname)?.load().catch(() => {})
const poke = every(5000, watchDaemon, new AbortController().signal)
begin()
