// Times and names as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY_MS = 86_400_000;

const startOfDay = (time) => new Date(time).setHours(0, 0, 0, 0);
const daysAgo = (time) => Math.round((startOfDay(Date.now()) - startOfDay(time)) / DAY_MS);

/** 14:05 */
export const timeOf = (at) => clock.format(new Date(at));

/** Date and time to the second. */
export const exactly = (at) => exact.format(new Date(at));

/** Which day, for telling days apart. */
export const dayKey = (at) => startOfDay(at);

/** Today, Yesterday, Monday, 3 May 2026 */
export function dayOf(at) {
  const days = daysAgo(at);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return days > 1 && days < 7 ? weekday.format(new Date(at)) : full.format(new Date(at));
}

/** The time where it is today, else the day, as short as a list needs it. */
export function shortly(at) {
  const days = daysAgo(at);
  if (days <= 0) return timeOf(at);
  if (days === 1) return "Yesterday";
  return short.format(new Date(at));
}

/** What a badge shows. */
export const count = (number) => (number > 999 ? "999+" : String(number));

/** `1 message`, `2 messages` */
export const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** The first letter or sign of a name. */
export const initialOf = (name) => (Array.from(name.trim())[0] ?? "?").toLocaleUpperCase();

/** One of eight colours, the same for a user everywhere. */
export function colourOf(user) {
  let hash = 7;
  for (const character of user) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return hash % 8;
}
