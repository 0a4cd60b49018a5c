/** What user-map writes at one look, of users 1001 and on: each sent 100 octets and received 1000. */
export function look(seconds: number, users: number): string {
  let text = ''
  for (let uid = 1001; uid < 1001 + users; uid++) {
    for (const [flowDirection, octets] of [
      [1, 100],
      [0, 1000],
    ]) {
      text += `${JSON.stringify({
        observationTimeMilliseconds: new Date(1_800_000_000_000 + seconds * 1000).toISOString(),
        dartaAccountRow: 'user',
        userName: `u${uid}`,
        dartaUserId: uid,
        ipVersion: 4,
        flowDirection,
        packetDeltaCount: 1,
        octetDeltaCount: octets,
      })}\n`
    }
  }
  return text
}
