// Signing in with a token.
import { post } from '../lib/api.js'
import { fill, h, setText } from '../lib/dom.js'
import { field } from '../lib/ui.js'

export function view({ root, done, role }) {
	const token = h('input', { type: 'password', autocomplete: 'current-password', required: true })
	const wrong = h('p.badtext', { role: 'alert' }, role === 'widget' && 'This token shows counts only.')
	const submit = h('button.primary', { type: 'submit' }, 'Sign in')
	const onsubmit = async (e) => {
		e.preventDefault()
		submit.disabled = true
		setText(wrong, '')
		try {
			await post('/session', { token: token.value.trim() })
			await done()
			return
		} catch (err) {
			setText(wrong, err.status === 401 ? 'This is not the token. It is console.token or console.read_token of the daemon’s configuration.' : err.message)
			token.select()
		}
		submit.disabled = false
	}
	fill(root, h('form.signin.panel', { onsubmit }, h('h1', { tabindex: '-1' }, 'Sign in'), h('p.muted', 'This console asks for a token. The session lasts 12 hours.'), field('Token', token), wrong, submit))
	token.focus()
}
