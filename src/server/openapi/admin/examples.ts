/** What the examples of the operator's way in are about. */
export const DOMAIN = 'app.example.com'
export const PROJECT_ID = '59ac24c90647c616c325883ef1e55c4a'
export const ACCOUNT = 'eip155:1:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359'
export const TIME = '2026-11-30T08:00:00.000Z'
export const NEEDS = ['adminToken', 'consoleSession'] as const
export const NOTIFICATION = { type: 'news', title: 'Hello', body: 'from the tower' }
export const IDENTITY_KEY = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
export const TOPIC = 'ab'.repeat(32)
