/** Tell the device from the User-Agent; an iPad calls itself a Macintosh. */
const deviceType = ({ userAgent, maxTouchPoints } = navigator): string =>
  /iPad|Android(?!.*Mobi)/.test(userAgent) || (maxTouchPoints > 1 && /Macin/.test(userAgent))
    ? "tablet"
    : /Mobi/.test(userAgent)
      ? "mobile"
      : "desktop";

let referrer: string;

/** Say where the next page is come to from. */
export const comeFrom = (address: string): string => (referrer = address);

/** Describe page and device, each text within a bound: an event has 2048 bytes. */
export const describePage = () => ({
  source: "web",
  device_type: deviceType(),
  context: {
    page: {
      url: location.href.slice(0, 300),
      referrer: referrer.slice(0, 300),
      // By code points: the server refuses half of an emoji.
      title: document.title.match(/^.{0,99}/u)![0],
    },
  },
});
