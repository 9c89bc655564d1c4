/** Fixed hosts in the code of published packages, written over when a bundle is built. */
import type { RedirectOptions, Target } from '../redirect/target.ts'

export interface BuildOptions extends RedirectOptions {
  /** The server, as in `https://belfry.example.com`. */
  url: string | URL
}

/** What is installed, and what Vite has bundled of it for its development server. The application's own code is left alone. */
export const isInstalled = (path: string): boolean => /[\\/]node_modules[\\/]/.test(path)

/**
 * The code with the server's address in place of each fixed host, or undefined where it names none. A name ends where the next
 * character cannot be part of a host, a port or a user.
 */
export const createRewrite = ({ http, ws, hosts }: Target): ((code: string) => string | undefined) => {
  const names = [...hosts].map((host) => host.replaceAll('.', '\\.')).join('|')
  const fixed = new RegExp(`(https|wss)://(?:${names})(?![\\w.:@-])`, 'g')
  return (code) => {
    if (!code.includes('.walletconnect.')) return undefined
    const rewritten = code.replaceAll(fixed, (_, scheme) => (scheme === 'wss' ? ws : http))
    return rewritten === code ? undefined : rewritten
  }
}
