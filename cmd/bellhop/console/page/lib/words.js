// What names of the API are called on the page.

export const kinds = {
	timeout: 'Timeout', network: 'Network', tls: 'TLS', status: 'Status', blocked: 'Refused address', render: 'Rendering', event: 'Unreadable event', cancelled: 'Cancelled', other: 'Other',
}

export const dues = { '1m': 'within a minute', '5m': 'within 5 minutes', '1h': 'within an hour', '6h': 'within 6 hours', '24h': 'within a day', later: 'later', room: 'waiting for room' }

export const states = { scheduled: 'Scheduled', due: 'Due', waiting: 'Waiting for room' }
