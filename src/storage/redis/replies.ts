/** Simple replies of Redis (RESP 2), as text: what a simple, error, integer or bulk reply holds. Stops where it ends. */
export const parseReplies = (text: string): string[] => {
  const replies: string[] = []
  let at = 0
  while (at < text.length) {
    const end = text.indexOf('\r\n', at)
    if (end < 0) break
    const head = text.slice(at + 1, end)
    at = end + 2
    if (text[end - head.length - 1] === '$') {
      const length = Number(head)
      if (!(length >= 0)) continue
      replies.push(text.slice(at, at + length))
      at += length + 2
    } else {
      replies.push(head)
    }
  }
  return replies
}
