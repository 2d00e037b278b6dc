// The widget alone, for a frame on another page. Its token, where one is asked for, comes in the fragment, which no server sees.
import { every, useToken } from './lib/api.js'
import { fill } from './lib/dom.js'
import { failure } from './lib/ui.js'
import { widget } from './lib/windows.js'

const main = document.getElementById('main')
const { signal } = new AbortController()
useToken(new URLSearchParams(location.hash.slice(1)).get('token'))

const w = widget(signal, '_blank')
fill(main, w.el)
every(10e3, async () => {
	try {
		await w.refresh()
		if (!w.el.isConnected) fill(main, w.el)
	} catch (err) {
		if (err.status === 401 || err.status === 403) Object.assign(err, { title: 'Not signed in', message: 'The widget needs a token: /widget#token=TOKEN' })
		fill(main, failure(err))
	}
}, signal)
