/** The local CA of the tests, and what it made: a certificate for localhost and 127.0.0.1, a client certificate for Apple. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const at = (file: string) => new URL(`../tls/${file}`, import.meta.url)
const read = (file: string) => readFileSync(at(file), 'utf8')

export const LOCAL_CA_FILE = fileURLToPath(at('local-ca.pem'))
export const localCa = read('local-ca.pem')
export const localTls = { cert: read('local-cert.pem'), key: read('local-key.pem') }
export const apnsCertificate = {
  certificate: readFileSync(at('apns-client.p12')).toString('base64'),
  password: 'opensesame',
}
