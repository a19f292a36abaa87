-- One row per pair of users. `first_user` sorts before `second_user` by UTF-16 code units; a chat with oneself has both alike.
CREATE TABLE chats (
    chat INTEGER PRIMARY KEY,
    first_user TEXT NOT NULL,
    second_user TEXT NOT NULL,
    -- The newest message: 0 and NULL before the first.
    last_seq INTEGER NOT NULL DEFAULT 0,
    last_at INTEGER,
    -- Messages that wait for each participant: exactly the rows of `messages` to them without `read_at`.
    unread_first INTEGER NOT NULL DEFAULT 0 CHECK (unread_first >= 0),
    unread_second INTEGER NOT NULL DEFAULT 0 CHECK (unread_second >= 0),
    -- Whether each participant ever wrote.
    first_wrote INTEGER NOT NULL DEFAULT 0,
    second_wrote INTEGER NOT NULL DEFAULT 0,
    -- NULL before the first notification; kept when notifications are deleted.
    first_notified_at INTEGER,
    last_notified_at INTEGER,
    notifications_changed_at INTEGER,
    UNIQUE (first_user, second_user)
) STRICT;

-- Chat lists, newest first. A chat is in them from its first message on.
CREATE INDEX chats_of_first ON chats (first_user, last_at) WHERE last_at IS NOT NULL;
CREATE INDEX chats_of_second ON chats (second_user, last_at) WHERE last_at IS NOT NULL;
-- Unread counts: only the chats where something waits.
CREATE INDEX chats_unread_by_first ON chats (first_user, unread_first) WHERE unread_first > 0;
CREATE INDEX chats_unread_by_second ON chats (second_user, unread_second) WHERE unread_second > 0;
-- Contacts: only the chats where both wrote.
CREATE INDEX chats_contacts_of_first ON chats (first_user, second_user) WHERE first_wrote = 1 AND second_wrote = 1;
CREATE INDEX chats_contacts_of_second ON chats (second_user, first_user) WHERE first_wrote = 1 AND second_wrote = 1;

-- A history lies together, in order.
CREATE TABLE messages (
    chat INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    id BLOB NOT NULL,
    -- 0: from first_user to second_user, 1: the other way.
    sender INTEGER NOT NULL CHECK (sender IN (0, 1)),
    sender_name TEXT NOT NULL,
    receiver_name TEXT NOT NULL,
    text TEXT NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    read_at INTEGER,
    edited_at INTEGER,
    client_message_id TEXT,
    -- The notification stored with it; only where a resend may ask for it.
    notification BLOB,
    PRIMARY KEY (chat, seq)
) WITHOUT ROWID, STRICT;

CREATE UNIQUE INDEX messages_by_id ON messages (id);
CREATE UNIQUE INDEX messages_by_client_id ON messages (chat, sender, client_message_id)
    WHERE client_message_id IS NOT NULL;
CREATE INDEX messages_unread ON messages (chat, sender) WHERE read_at IS NULL;

-- Messages with a client_message_id between their commit and their announcement.
CREATE TABLE unannounced (
    message BLOB PRIMARY KEY
) WITHOUT ROWID, STRICT;

CREATE TABLE notifications (
    id BLOB PRIMARY KEY,
    chat INTEGER NOT NULL,
    to_user TEXT NOT NULL,
    from_user TEXT NOT NULL,
    text TEXT NOT NULL,
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    read_at INTEGER,
    message_id TEXT,
    message_preview TEXT,
    priority TEXT NOT NULL
) WITHOUT ROWID, STRICT;

CREATE INDEX notifications_unread ON notifications (to_user, created_at, id) WHERE read_at IS NULL;
CREATE INDEX notifications_unread_of_chat ON notifications (chat, to_user) WHERE read_at IS NULL;
CREATE INDEX notifications_by_age ON notifications (created_at);

-- Counts over `notifications` per user and chat; a row with none left goes.
CREATE TABLE inboxes (
    to_user TEXT NOT NULL,
    chat INTEGER NOT NULL,
    total INTEGER NOT NULL CHECK (total >= 0),
    unread INTEGER NOT NULL CHECK (unread BETWEEN 0 AND total),
    PRIMARY KEY (to_user, chat)
) WITHOUT ROWID, STRICT;

-- What a ping writes to.
CREATE TABLE pings (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO pings VALUES (1, 0);
