// The daemon's HTTP API. All that the page knows comes through here.

const base = '/api/v1'
let bearer = '' // the widget's token; the console itself has a cookie

export const events = new EventTarget() // online, offline, signedout

// Problem is an error that the daemon answered with (RFC 9457), or that there was no answer (status 0).
export class Problem extends Error {
	constructor(status, title, detail, next) {
		super(detail || title)
		Object.assign(this, { status, title, next })
	}
}

export function useToken(token) {
	bearer = token
}

// query makes a query string of an object; lists repeat their key, and what is empty is left out.
export function query(o) {
	const q = new URLSearchParams()
	for (const [k, v] of Object.entries(o ?? {})) {
		for (const one of Array.isArray(v) ? v : [v]) if (one !== undefined && one !== null && one !== '') q.append(k, one)
	}
	const s = q.toString()
	return s && '?' + s
}

let offline = false

function reachable(yes) {
	if (offline !== yes) return
	offline = !yes
	events.dispatchEvent(new Event(yes ? 'online' : 'offline'))
}

// unreachable notes that something which is no request of the API got no answer.
export const unreachable = () => reachable(false)

async function call(method, path, { body, signal, parse = JSON.parse } = {}) {
	const headers = { Accept: 'application/json' }
	if (bearer) headers.Authorization = 'Bearer ' + bearer
	if (method !== 'GET') headers['X-Bellhop'] = '1'
	if (body !== undefined) headers['Content-Type'] = 'application/json'
	let resp
	try {
		resp = await fetch(base + path, { method, headers, signal, body: typeof body === 'object' ? JSON.stringify(body) : body })
	} catch (err) {
		if (signal?.aborted) throw err
		reachable(false)
		throw new Problem(0, 'No connection', 'The daemon does not answer.')
	}
	reachable(true)
	if (resp.status === 204) return null
	let data = null
	try {
		data = parse(await resp.text())
	} catch (err) {
		if (signal?.aborted) throw err
		if (resp.ok) throw new Problem(resp.status, 'Unreadable answer', `${method} ${base}${path} did not answer with JSON.`)
	}
	if (resp.ok) return data
	if (resp.status === 401 && path !== '/session') events.dispatchEvent(new Event('signedout'))
	throw new Problem(resp.status, data?.title ?? resp.statusText, data?.detail, data?.next)
}

export const get = (path, params, signal) => call('GET', path + query(params), { signal })
// getExact keeps numbers as they were written, where the browser can: 9007199254740993 and 12.50 stay that when they are shown.
export const getExact = (path, signal) => call('GET', path, { signal, parse: (text) => JSON.parse(text, (key, v, at) => (typeof v === 'number' && at?.source && JSON.rawJSON && String(v) !== at.source ? JSON.rawJSON(at.source) : v)) })
// post sends an object, or a text that is JSON already.
export const post = (path, body) => call('POST', path, { body })
export const del = (path) => call('DELETE', path)

// stream opens server-sent events; handlers are by event name, and state(up) follows the connection. It closes with the signal, and
// while nobody looks: a browser has six connections to a host, for all its tabs together. What came meanwhile follows, after the
// sequence that handlers.after() gives.
export function stream(path, params, handlers, signal) {
	let source
	let timer
	const open = () => {
		source = new EventSource(base + path + query({ ...params, after: handlers.after?.() }))
		source.onopen = () => {
			reachable(true)
			handlers.state?.(true)
		}
		source.onerror = () => {
			handlers.state?.(false)
			// The browser tries again by itself, unless the answer was a refusal.
			if (source.readyState === EventSource.CLOSED) timer = setTimeout(again, 3000)
		}
		for (const name of ['outcome', 'skipped', 'stats']) {
			if (handlers[name]) source.addEventListener(name, (e) => handlers[name](JSON.parse(e.data)))
		}
	}
	const close = () => {
		clearTimeout(timer)
		source?.close()
	}
	const again = () => {
		if (signal.aborted) return
		get('/session', null, signal).then((s) => (s.role === 'none' ? events.dispatchEvent(new Event('signedout')) : open()), () => (timer = setTimeout(again, 3000)))
	}
	document.addEventListener('visibilitychange', () => {
		close()
		document.hidden ? handlers.state?.(false) : open()
	}, { signal })
	signal.addEventListener('abort', close)
	if (!document.hidden) open()
}

// every calls fn now and then again ms after it has ended, but not while nobody looks. It returns a function that calls it at once.
export function every(ms, fn, signal) {
	let timer
	let running = false
	const run = async () => {
		clearTimeout(timer)
		if (signal.aborted || running) return
		running = true
		try {
			await fn()
		} catch (err) {
			if (!signal.aborted) console.warn(err)
		}
		running = false
		if (!signal.aborted && !document.hidden) timer = setTimeout(run, ms)
	}
	document.addEventListener('visibilitychange', () => document.hidden || run(), { signal })
	signal.addEventListener('abort', () => clearTimeout(timer))
	run()
	return run
}
