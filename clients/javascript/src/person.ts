import { uuid7 } from "./ids";
import { read, remove, write } from "./store";

const ANONYMOUS = "mr_a";
const USER = "mr_u";
const SESSION = "mr_s";
const IDLE_MS = 18e5;

/** Give what every event says of the person; keeps the session alive. Tabs share all of it. */
export const describePerson = () => {
  const time = Date.now();
  const [session, seen] = (read(SESSION) || "").split(" ");
  const session_id = time - (seen as any) < IDLE_MS ? session : uuid7();
  write(SESSION, session_id + " " + time);
  return {
    user_id: read(USER),
    anonymous_id: write(ANONYMOUS, read(ANONYMOUS) || uuid7()),
    session_id,
  };
};

export const rememberUser = (id: unknown): string => write(USER, `${id}`);

export const forgetPerson = (): void => [ANONYMOUS, USER, SESSION].forEach(remove);
