/** What the service worker says itself; the other texts would be half of it. */
import type { Language } from './index.ts'

export const FALLBACKS: Record<Language, { title: string; body: string }> = {
  en: { title: 'You have new messages', body: 'Open the inbox to read them' },
  de: { title: 'Du hast neue Nachrichten', body: 'Öffne das Postfach, um sie zu lesen' },
}
